//! EXPLAIN [ANALYZE].

use std::rc::Rc;

use super::context::ExecContext;
use super::cursor;
use super::planned::Planned;
use crate::base::error::SqlError;
use crate::sql::optimize;
use crate::sql::parse::ast::Explain;

/// The lines of a plan; with ANALYZE it is run first.
pub(crate) async fn explain(
    wanted: &Explain,
    planned: &Rc<Planned>,
    context: &Rc<ExecContext>,
) -> Result<Vec<String>, SqlError> {
    if wanted.json {
        return Err(SqlError::unsupported("EXPLAIN (FORMAT JSON)"));
    }
    let mut lines = optimize::explain(&planned.plan);
    if wanted.analyze {
        let began = context.instance.clock.now().mono;
        let rows = cursor::all_rows(planned, context).await?.len();
        let micros = context.instance.clock.now().mono.since(began).as_micros();
        if let Some(first) = lines.first_mut() {
            first.push_str(&format!(" (actual rows={rows} loops=1)"));
        }
        if wanted.timing && wanted.summary.unwrap_or(true) {
            let (ms, rest) = (micros / 1_000, micros % 1_000);
            lines.push(format!("Execution Time: {ms}.{rest:03} ms"));
        }
    }
    Ok(lines)
}
