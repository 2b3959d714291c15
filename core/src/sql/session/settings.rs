//! A session's run-time parameters: SET, RESET, SHOW, start-up `options`, and how transactions undo
//! them.
//!
//! Three layers: what holds now, what will hold after COMMIT (without SET LOCAL), and what held
//! before the transaction. Values are kept as text in PostgreSQL's canonical form; the few that the
//! hot path needs are kept parsed beside them.
//!
//! # Source
//!
//! PostgreSQL 15, `guc.c`; messages as its server gives them.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::setting_table::{Access, Row, SETTINGS};
use super::setting_value::{cannot_change, canonical_change, displayed};
use crate::base::error::{SqlError, sqlstate};
use crate::row::datetime::Zone;
use crate::sql::ports::Isolation;

/// Names of custom parameters (`myapp.user`) that one session may invent.
const CUSTOM_MAX: usize = 256;
/// Bytes of one value.
const VALUE_BYTES_MAX: usize = 64 << 10;

/// All parameters at one moment.
#[derive(Clone, Debug)]
struct Values {
    known: Vec<Rc<str>>,
    custom: BTreeMap<String, Rc<str>>,
}

/// The parameters of one session.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// What RESET restores: defaults and the start-up packet.
    initial: Rc<Values>,
    now: Rc<Values>,
    after_commit: Rc<Values>,
    before: Option<Rc<Values>>,
    changed: bool,
    reported: BTreeMap<&'static str, Rc<str>>,
    hot: Hot,
}

/// What the session looks at for every statement.
#[derive(Clone, Debug)]
pub(crate) struct Hot {
    /// Zero: none.
    pub(crate) statement_timeout: Duration,
    /// Zero: none.
    pub(crate) lock_timeout: Duration,
    /// Zero: none.
    pub(crate) idle_in_transaction_timeout: Duration,
    /// Zero: none.
    pub(crate) idle_timeout: Duration,
    /// Of new transactions.
    pub(crate) isolation: Isolation,
    /// Of new transactions.
    pub(crate) read_only: bool,
    /// Schemas to look in, in order.
    pub(crate) search_path: Rc<[String]>,
    /// For times.
    pub(crate) zone: Rc<Zone>,
    /// Lowest severity that is sent: 0 notice, 1 warning, 2 error.
    pub(crate) messages: u8,
}

/// Whether a change ends with the transaction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scope {
    /// SET, SET SESSION.
    Session,
    /// SET LOCAL.
    Local,
}

impl Settings {
    /// Defaults for a user, before the start-up packet's own parameters.
    pub(crate) fn new(user: &str) -> Self {
        let known = SETTINGS.iter().map(|row| Rc::from(row.default)).collect();
        let values = Rc::new(Values { known, custom: BTreeMap::new() });
        let hot = Hot::of(&values, user);
        let mut settings = Self {
            initial: Rc::clone(&values),
            now: Rc::clone(&values),
            after_commit: values,
            before: None,
            changed: true,
            reported: BTreeMap::new(),
            hot,
        };
        settings.force("session_authorization", user);
        settings.freeze_initial();
        settings
    }

    /// What holds now is what RESET restores.
    pub(crate) fn freeze_initial(&mut self) {
        self.initial = Rc::clone(&self.now);
    }

    /// Applies one parameter of the start-up packet; becomes what RESET restores.
    pub(crate) fn start_up(&mut self, name: &str, value: &str) -> Result<(), SqlError> {
        self.set(name, value, Scope::Session, false)?;
        self.initial = Rc::clone(&self.now);
        Ok(())
    }

    /// Applies the start-up packet's `options` (`-c name=value`, `--name=value`; backslash escapes).
    pub(crate) fn start_up_options(&mut self, options: &str) -> Result<(), SqlError> {
        let mut words = split_options(options).into_iter();
        while let Some(word) = words.next() {
            let pair = match word.strip_prefix("-c") {
                Some("") => words.next().unwrap_or_default(),
                Some(rest) => rest.to_owned(),
                None => match word.strip_prefix("--") {
                    Some(rest) => rest.to_owned(),
                    None => {
                        let message =
                            format!("invalid command-line argument for server process: {word}");
                        return Err(SqlError::new(sqlstate::SYNTAX_ERROR, message));
                    }
                },
            };
            let Some((name, value)) = pair.split_once('=') else {
                let message = format!("-c {pair} requires a value");
                return Err(SqlError::new(sqlstate::SYNTAX_ERROR, message));
            };
            self.start_up(&name.replace('-', "_"), value)?;
        }
        Ok(())
    }

    /// SET. `in_block`: whether ROLLBACK may have to undo it.
    pub(crate) fn set(
        &mut self,
        name: &str,
        value: &str,
        scope: Scope,
        in_block: bool,
    ) -> Result<(), SqlError> {
        if VALUE_BYTES_MAX < value.len() {
            let message = format!("value of parameter \"{name}\" is too long");
            return Err(SqlError::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, message));
        }
        let Some(at) = find(name) else {
            return self.set_custom(name, value, scope, in_block);
        };
        let canonical = canonical_change(&SETTINGS[at], &self.now.known[at], value)?;
        self.remember(in_block);
        self.store(scope, |values| values.known[at] = Rc::from(canonical.as_str()));
        Ok(())
    }

    /// RESET name, or SET name TO DEFAULT.
    pub(crate) fn reset(&mut self, name: &str, scope: Scope, block: bool) -> Result<(), SqlError> {
        let Some(at) = find(name) else {
            if !self.now.custom.contains_key(&name.to_ascii_lowercase()) && !name.contains('.') {
                return Err(unrecognized(name));
            }
            self.remember(block);
            let initial = self.initial.custom.get(&name.to_ascii_lowercase()).cloned();
            let value = initial.unwrap_or_else(|| Rc::from(""));
            self.store(scope, |values| {
                values.custom.insert(name.to_ascii_lowercase(), Rc::clone(&value));
            });
            return Ok(());
        };
        if matches!(SETTINGS[at].access, Access::Internal | Access::Restart) {
            return Err(cannot_change(&SETTINGS[at]));
        }
        self.remember(block);
        let value = Rc::clone(&self.initial.known[at]);
        self.store(scope, |values| values.known[at] = Rc::clone(&value));
        Ok(())
    }

    /// RESET ALL.
    pub(crate) fn reset_all(&mut self, in_block: bool) {
        self.remember(in_block);
        self.now = Rc::clone(&self.initial);
        self.after_commit = Rc::clone(&self.initial);
        self.refresh();
    }

    /// Sets what only the server sets.
    pub(crate) fn force(&mut self, name: &str, value: &str) {
        if let Some(at) = find(name) {
            self.store(Scope::Session, |values| values.known[at] = Rc::from(value));
        }
    }

    /// What holds now, to be read elsewhere.
    pub(crate) fn view(&self) -> SettingsView {
        SettingsView(Rc::clone(&self.now))
    }

    /// The canonical spelling of a parameter's name, as SHOW's column has it.
    pub(crate) fn spelling(name: &str) -> String {
        find(name).map_or_else(|| name.to_ascii_lowercase(), |at| SETTINGS[at].name.to_owned())
    }

    /// What the hot path looks at.
    pub(crate) fn hot(&self) -> &Hot {
        &self.hot
    }

    /// The transaction ended: SET LOCAL ends with it; SET is undone if it failed.
    pub(crate) fn transaction_ended(&mut self, committed: bool) {
        let before = self.before.take();
        if let (false, Some(before)) = (committed, before) {
            self.after_commit = before;
        }
        if !Rc::ptr_eq(&self.now, &self.after_commit) {
            self.now = Rc::clone(&self.after_commit);
            self.refresh();
        }
    }

    /// Reported parameters, if anything changed since the last call.
    pub(crate) fn take_reports(&mut self) -> Option<Vec<(&'static str, Rc<str>)>> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let rows = SETTINGS.iter().zip(&self.now.known);
        Some(rows.filter(|(row, _)| row.report).map(|(r, v)| (r.name, Rc::clone(v))).collect())
    }

    /// Whether the client has yet to be told of this value; it has been, after this call.
    pub(crate) fn note_report(&mut self, name: &'static str, value: &Rc<str>) -> bool {
        let old = self.reported.insert(name, Rc::clone(value));
        old.is_none_or(|old| old != *value)
    }

    fn set_custom(
        &mut self,
        name: &str,
        value: &str,
        scope: Scope,
        in_block: bool,
    ) -> Result<(), SqlError> {
        if !name.contains('.') {
            return Err(unrecognized(name));
        }
        let name = name.to_ascii_lowercase();
        if CUSTOM_MAX <= self.now.custom.len() && !self.now.custom.contains_key(&name) {
            let message = "too many custom parameters";
            return Err(SqlError::new(sqlstate::CONFIGURATION_LIMIT_EXCEEDED, message));
        }
        self.remember(in_block);
        self.store(scope, |values| {
            values.custom.insert(name.clone(), Rc::from(value));
        });
        Ok(())
    }

    fn remember(&mut self, in_block: bool) {
        if in_block && self.before.is_none() {
            self.before = Some(Rc::clone(&self.after_commit));
        }
    }

    fn store(&mut self, scope: Scope, change: impl Fn(&mut Values)) {
        change(Rc::make_mut(&mut self.now));
        if scope == Scope::Session {
            change(Rc::make_mut(&mut self.after_commit));
        }
        self.refresh();
    }

    fn refresh(&mut self) {
        self.changed = true;
        let user = find("session_authorization").map(|at| Rc::clone(&self.now.known[at]));
        self.hot = Hot::of(&self.now, user.as_deref().unwrap_or("postgres"));
    }
}

/// Parameters as they were at one moment.
#[derive(Clone, Debug)]
pub(crate) struct SettingsView(Rc<Values>);

impl SettingsView {
    /// A value as SHOW prints it.
    pub(crate) fn show(&self, name: &str) -> Result<String, SqlError> {
        match find(name) {
            Some(at) => Ok(displayed(&SETTINGS[at], &self.0.known[at])),
            None => match self.0.custom.get(&name.to_ascii_lowercase()) {
                Some(value) => Ok(value.to_string()),
                None => Err(unrecognized(name)),
            },
        }
    }

    /// SHOW ALL and `pg_settings`: name, value, description.
    pub(crate) fn all(&self) -> Vec<(&'static str, String, &'static str)> {
        let rows = SETTINGS.iter().zip(&self.0.known);
        rows.map(|(row, value)| (row.name, displayed(row, value), row.about)).collect()
    }
}

impl Hot {
    fn of(values: &Values, user: &str) -> Self {
        let text = |name: &str| find(name).map_or("", |at| &*values.known[at]);
        let ms = |name: &str| Duration::from_millis(text(name).parse().unwrap_or(0));
        Self {
            statement_timeout: ms("statement_timeout"),
            lock_timeout: ms("lock_timeout"),
            idle_in_transaction_timeout: ms("idle_in_transaction_session_timeout"),
            idle_timeout: ms("idle_session_timeout"),
            isolation: isolation_of(text("default_transaction_isolation")),
            read_only: text("default_transaction_read_only") == "on",
            search_path: search_path_of(text("search_path"), user),
            zone: Rc::new(Zone::parse(text("TimeZone")).unwrap_or_default()),
            messages: match text("client_min_messages") {
                "warning" => 1,
                "error" => 2,
                _ => 0, // everything lower shows notices too
            },
        }
    }
}

/// The level that serves what a client asked for: at least as strict.
pub(crate) fn isolation_of(level: &str) -> Isolation {
    match level {
        "read committed" | "read uncommitted" => Isolation::ReadCommitted,
        _ => Isolation::Serializable, // repeatable read is served by the stricter level
    }
}

fn find(name: &str) -> Option<usize> {
    let name = if name.eq_ignore_ascii_case("time zone") { "timezone" } else { name };
    let lower = name.to_ascii_lowercase();
    let order = |row: &Row| row.name.to_ascii_lowercase().cmp(&lower);
    SETTINGS.binary_search_by(order).ok()
}

fn unrecognized(name: &str) -> SqlError {
    let message = format!("unrecognized configuration parameter \"{name}\"");
    SqlError::new(sqlstate::UNDEFINED_OBJECT, message)
}

fn search_path_of(value: &str, user: &str) -> Rc<[String]> {
    let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
    let plain = |name: &str| match name.strip_prefix('"').and_then(|n| n.strip_suffix('"')) {
        Some("$user") => user.to_owned(),
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => name.to_ascii_lowercase(),
    };
    names.map(plain).collect()
}

/// Splits at white space; a backslash takes the next character as it is.
fn split_options(options: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = options.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => word.get_or_insert_default().extend(chars.next()),
            c if c.is_ascii_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(settings: &mut Settings, name: &str, value: &str) -> Result<(), SqlError> {
        settings.set(name, value, Scope::Session, false)
    }

    #[test]
    fn values_are_shown_in_their_largest_unit() {
        let mut s = Settings::new("postgres");
        for (given, shown) in [("1.5s", "1500ms"), ("90000", "90s"), ("120000", "2min"), ("0", "0")]
        {
            set(&mut s, "statement_timeout", given).unwrap();
            assert_eq!(s.view().show("STATEMENT_TIMEOUT").unwrap(), shown);
        }
        assert_eq!(s.view().show("work_mem").unwrap(), "4MB");
        assert_eq!(s.hot().statement_timeout, Duration::ZERO);
    }

    #[test]
    fn bad_values_give_postgresqls_words() {
        let mut s = Settings::new("postgres");
        let text = |result: Result<(), SqlError>| result.unwrap_err().message;
        assert_eq!(
            text(set(&mut s, "statement_timeout", "-2")),
            "-2 ms is outside the valid range for parameter \"statement_timeout\" (0 .. 2147483647)"
        );
        assert_eq!(
            text(set(&mut s, "statement_timeout", "abc")),
            "invalid value for parameter \"statement_timeout\": \"abc\""
        );
        assert_eq!(
            text(set(&mut s, "nosuch", "1")),
            "unrecognized configuration parameter \"nosuch\""
        );
        assert_eq!(
            text(set(&mut s, "server_version", "1")),
            "parameter \"server_version\" cannot be changed"
        );
        assert_eq!(
            text(set(&mut s, "TimeZone", "Foo/Bar")),
            "invalid value for parameter \"TimeZone\": \"Foo/Bar\""
        );
    }

    #[test]
    fn rollback_undoes_set_and_commit_ends_set_local() {
        let mut s = Settings::new("postgres");
        s.set("application_name", "a", Scope::Session, true).unwrap();
        s.transaction_ended(false);
        assert_eq!(s.view().show("application_name").unwrap(), "");
        s.set("application_name", "b", Scope::Session, true).unwrap();
        s.set("application_name", "c", Scope::Local, true).unwrap();
        assert_eq!(s.view().show("application_name").unwrap(), "c");
        s.transaction_ended(true);
        assert_eq!(s.view().show("application_name").unwrap(), "b");
    }

    #[test]
    fn start_up_options_are_split_and_unescaped() {
        let mut s = Settings::new("postgres");
        let options = "-c default_transaction_isolation=read\\ committed --lock-timeout=5s";
        s.start_up_options(options).unwrap();
        assert_eq!(s.hot().isolation, Isolation::ReadCommitted);
        assert_eq!(s.hot().lock_timeout, Duration::from_secs(5));
        s.set("lock_timeout", "1", Scope::Session, false).unwrap();
        s.reset("lock_timeout", Scope::Session, false).unwrap();
        assert_eq!(s.view().show("lock_timeout").unwrap(), "5s");
    }
}
