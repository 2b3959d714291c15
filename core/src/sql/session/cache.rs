//! Plans of simple-protocol statements, by their text without its literals.
//!
//! Shared by all sessions of a node; an entry names the database and search path that its names were
//! resolved in, and its plan carries the catalog version (`Planned`).

use std::collections::VecDeque;
use std::rc::Rc;

use super::prepared::Prepared;
use super::run::Request;
use super::session::Session;
use crate::base::error::SqlError;
use crate::base::map::FixedMap;
use crate::row::datum::Datum;
use crate::row::numeric::Numeric;
use crate::row::types::DataType;
use crate::sql::parse::{self, NormalizedText, TextLiteral, TextLiteralKind};

/// Plans kept.
const ENTRIES_MAX: usize = 4_096;

#[derive(Debug)]
struct Entry {
    database: u32,
    path: Rc<[String]>,
    /// `None`: the text without literals does not mean the same, or cannot be planned.
    prepared: Option<Rc<Prepared>>,
}

/// Plans by normalised text.
#[derive(Debug, Default)]
pub(super) struct PlanCache {
    entries: FixedMap<String, Entry>,
    order: VecDeque<String>,
    scratch: NormalizedText,
}

/// What a look-up found.
pub(super) struct Hit {
    prepared: Rc<Prepared>,
    parameters: Rc<[Datum]>,
}

impl PlanCache {
    fn forget(&mut self, sql: &str) {
        let mut scratch = std::mem::take(&mut self.scratch);
        if parse::normalize(sql, &mut scratch)
            && let Some(entry) = self.entries.get_mut(scratch.key())
        {
            entry.prepared = None;
        }
        self.scratch = scratch;
    }

    fn put(&mut self, key: String, entry: Entry) {
        if ENTRIES_MAX <= self.order.len()
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
        if self.entries.insert(key.clone(), entry).is_none() {
            self.order.push_back(key);
        }
    }
}

impl Session {
    /// The prepared form of a text that was seen before, with its literals as parameters.
    pub(super) fn cached_statement(&self, sql: &str) -> Option<Hit> {
        let mut cache = self.instance.plans.borrow_mut();
        let mut scratch = std::mem::take(&mut cache.scratch);
        let hit = parse::normalize(sql, &mut scratch)
            .then(|| cache.entries.get(scratch.key()))
            .flatten()
            .filter(|entry| entry.database == self.database.oid)
            .filter(|entry| *entry.path == *self.settings.hot().search_path)
            .and_then(|entry| entry.prepared.clone())
            .and_then(|prepared| {
                let types = &prepared.parameters;
                let parameters = values(sql, scratch.literals(), types)?;
                Some(Hit { prepared, parameters })
            });
        cache.scratch = scratch;
        hit
    }

    /// Runs it; `None` if the text itself has to be looked at again. An error with a position comes
    /// from planning again, and its position would be one of the text without literals.
    pub(super) async fn run_cached(&mut self, sql: &str, hit: Hit) -> Option<Result<(), SqlError>> {
        let Hit { prepared, parameters } = hit;
        let request = Request { prepared, parameters, formats: None, autocommit: true };
        match self.run_retried(&request).await {
            Ok(completion) => {
                self.complete(completion);
                Some(Ok(()))
            }
            Err(error) if error.position.is_some() => {
                self.instance.plans.borrow_mut().forget(sql);
                None
            }
            Err(error) => Some(Err(error)),
        }
    }

    /// A statement was run from its text: next time its plan is found by the text without literals.
    pub(super) fn remember_statement(&self, sql: &str) {
        let mut scratch = NormalizedText::default();
        if !parse::normalize(sql, &mut scratch) {
            return;
        }
        let path = self.search_path();
        let known = |entry: &Entry| entry.database == self.database.oid && entry.path == path;
        if self.instance.plans.borrow().entries.get(scratch.key()).is_some_and(known) {
            return;
        }
        let prepared = self.prepare_normalized(sql, &scratch);
        let entry = Entry { database: self.database.oid, path, prepared };
        self.instance.plans.borrow_mut().put(scratch.key().to_owned(), entry);
    }

    fn prepare_normalized(&self, sql: &str, text: &NormalizedText) -> Option<Rc<Prepared>> {
        let parsed = parse::parse_one(text.statement()).ok().flatten()?;
        let statement = Rc::new(parsed.statement);
        let mut prepared = Prepared::raw(Rc::from(text.statement()), Rc::clone(&statement));
        let hints: Vec<_> = text.literals().iter().map(|literal| type_of(literal.kind)).collect();
        let plan = self.plan(&statement, &hints, self.instance.catalog.newest()?).ok()?;
        if plan.parameters.len() != hints.len() {
            return None;
        }
        prepared.parameters = plan.parameters.clone();
        prepared.fields = plan.fields.clone();
        values(sql, text.literals(), &prepared.parameters)?;
        prepared.keep_plan(plan);
        Some(Rc::new(prepared))
    }
}

fn type_of(kind: TextLiteralKind) -> Option<DataType> {
    match kind {
        TextLiteralKind::Int4 => Some(DataType::Int4),
        TextLiteralKind::Int8 => Some(DataType::Int8),
        TextLiteralKind::Numeric => Some(DataType::NUMERIC),
        TextLiteralKind::String => None,
    }
}

/// The literals as values of the parameters' types; `None` where only the whole statement can say
/// what a string means.
fn values(sql: &str, literals: &[TextLiteral], types: &[DataType]) -> Option<Rc<[Datum]>> {
    literals.iter().zip(types).map(|(literal, ty)| value(sql, literal, ty)).collect()
}

fn value(sql: &str, literal: &TextLiteral, ty: &DataType) -> Option<Datum> {
    match literal.kind {
        TextLiteralKind::Int4 => i32::try_from(literal.integer).ok().map(Datum::Int4),
        TextLiteralKind::Int8 => Some(Datum::Int8(literal.integer)),
        TextLiteralKind::Numeric => Numeric::parse(&literal.text(sql)).ok().map(Datum::Numeric),
        TextLiteralKind::String => match ty {
            DataType::Text | DataType::Varchar(None) => Some(Datum::text(&literal.text(sql))),
            DataType::Char(None) => Some(Datum::text(literal.text(sql).trim_end_matches(' '))),
            _ => None, // dates and the like: errors want the literal's position
        },
    }
}
