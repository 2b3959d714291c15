//! The house rules as a test: floors, file and function lengths, what a `mod.rs` may hold, words that
//! must not appear. A broken floor fails here; the rules have bad examples of their own at the end.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

const LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

/// Rooms and their floors. A room that is not listed may not exist.
const FLOORS: &[(&str, u8)] = &[
    ("base", 0),
    ("step", 1),
    ("storage", 1),
    ("raft", 2),
    ("mvcc", 2),
    ("shard", 2),
    ("auth", 2),
    ("row", 2),
    ("replica", 3),
    ("txn", 4),
    ("sql", 5),
    ("ops", 6),
    ("node", 7),
];

fn floor(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == room).map(|(_, floor)| *floor)
}

/// One file's breaches of the rules, each a sentence.
struct Inspector<'a> {
    room: &'a str,
    /// Module path of the file below the crate, such as `["sql", "parse"]`.
    module: Vec<String>,
    test_depth: usize,
    breaches: Vec<String>,
}

impl Inspector<'_> {
    fn breach(&mut self, line: usize, what: String) {
        self.breaches.push(format!("line {line}: {what}"));
    }

    fn check_target(&mut self, target: &str, line: usize, published: bool) {
        let Some(theirs) = floor(target) else { return };
        let Some(ours) = floor(self.room) else { return };
        if target == self.room {
            return;
        }
        if published {
            self.breach(line, format!("`pub use` of another room ({target})"));
        }
        if ours <= theirs {
            let way = if ours == theirs { "sideways" } else { "upward" };
            self.breach(line, format!("{way} arrow {} -> {target}", self.room));
        }
    }

    /// The room that a path leads to, if it is relative to this crate.
    fn target(&self, segments: &[String]) -> Option<String> {
        match segments.first().map(String::as_str) {
            Some("crate") => segments.get(1).cloned(),
            Some("self") => self.module.first().cloned(),
            Some("super") => {
                let ups = segments.iter().take_while(|s| *s == "super").count();
                let keep = self.module.len().checked_sub(ups)?;
                match keep {
                    0 => segments.get(ups).cloned(),
                    _ => self.module.first().cloned(),
                }
            }
            _ => None,
        }
    }

    fn check_tree(&mut self, tree: &syn::UseTree, path: &mut Vec<String>, published: bool) {
        match tree {
            syn::UseTree::Path(step) => {
                path.push(step.ident.to_string());
                self.check_tree(&step.tree, path, published);
                path.pop();
            }
            syn::UseTree::Group(group) => {
                for item in &group.items {
                    self.check_tree(item, path, published);
                }
            }
            syn::UseTree::Name(name) => self.check_leaf(path, &name.ident, published),
            syn::UseTree::Rename(name) => self.check_leaf(path, &name.ident, published),
            syn::UseTree::Glob(glob) => {
                if let Some(target) = self.target(path) {
                    self.check_target(&target, glob.span().start().line, published);
                }
            }
        }
    }

    fn check_leaf(&mut self, path: &[String], leaf: &proc_macro2::Ident, published: bool) {
        let mut full = path.to_vec();
        full.push(leaf.to_string());
        if let Some(target) = self.target(&full) {
            self.check_target(&target, leaf.span().start().line, published);
        }
    }

    fn check_length(&mut self, name: &str, block: &syn::Block) {
        let (start, end) = (block.span().start().line, block.span().end().line);
        let lines = end + 1 - start;
        if FUNCTION_LINES_MAX < lines && self.test_depth == 0 {
            self.breach(start, format!("function {name} has {lines} lines"));
        }
    }

    /// Paths inside macro calls are tokens only: look for `crate :: room`.
    fn check_tokens(&mut self, tokens: proc_macro2::TokenStream) {
        let mut before: Vec<String> = Vec::new();
        for tree in tokens {
            match tree {
                proc_macro2::TokenTree::Group(group) => {
                    self.check_tokens(group.stream());
                    before.clear();
                }
                proc_macro2::TokenTree::Ident(ident) => {
                    let n = before.len();
                    let after_crate = 3 <= n && before[n - 3] == "crate";
                    if after_crate && before[n - 2] == ":" && before[n - 1] == ":" {
                        self.check_target(&ident.to_string(), ident.span().start().line, false);
                    }
                    before.push(ident.to_string());
                }
                other => before.push(other.to_string()),
            }
        }
    }
}

fn is_test(attrs: &[syn::Attribute]) -> bool {
    attrs.iter().any(|attr| {
        attr.path().is_ident("cfg")
            && attr.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

impl<'ast> Visit<'ast> for Inspector<'_> {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let published = !matches!(item.vis, syn::Visibility::Inherited);
        self.check_tree(&item.tree, &mut Vec::new(), published);
    }
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        if let Some(target) = self.target(&segments) {
            self.check_target(&target, path.span().start().line, false);
        }
        visit::visit_path(self, path);
    }
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let test = is_test(&item.attrs);
        self.test_depth += usize::from(test);
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
        self.test_depth -= usize::from(test);
    }
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.check_length(&item.sig.ident.to_string(), &item.block);
        visit::visit_item_fn(self, item);
    }
    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.check_length(&item.sig.ident.to_string(), &item.block);
        visit::visit_impl_item_fn(self, item);
    }
    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let name = call.path.segments.last().map(|s| s.ident.to_string()).unwrap_or_default();
        let line = call.span().start().line;
        if name == "include" {
            self.breach(line, "include! of Rust".to_owned());
        }
        if name == "todo" || name == "unimplemented" {
            self.breach(line, format!("{name}!"));
        }
        self.check_tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }
    fn visit_attribute(&mut self, attr: &'ast syn::Attribute) {
        if attr.path().is_ident("ignore") {
            self.breach(attr.span().start().line, "an ignored test".to_owned());
        }
    }
}

fn module_of(relative: &Path) -> Vec<String> {
    let mut parts: Vec<String> =
        relative.with_extension("").iter().map(|p| p.to_string_lossy().into_owned()).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib")) {
        parts.pop();
    }
    parts
}

fn inspect(relative: &Path, text: &str) -> Vec<String> {
    let module = module_of(relative);
    let room = module.first().cloned().unwrap_or_default();
    let file = match syn::parse_file(text) {
        Ok(file) => file,
        Err(error) => return vec![format!("does not parse: {error}")],
    };
    let mut inspector =
        Inspector { room: &room, module: module.clone(), test_depth: 0, breaches: Vec::new() };
    if !room.is_empty() && floor(&room).is_none() {
        inspector.breach(1, format!("room {room} has no floor"));
    }
    let tests_file = module.iter().any(|part| part == "tests" || part == "property");
    inspector.test_depth = usize::from(tests_file);
    inspector.visit_file(&file);
    if !text.starts_with("//!") {
        inspector.breach(1, "does not open with a `//!` doc".to_owned());
    }
    let lines = text.lines().count();
    if LINES_MAX < lines {
        inspector.breach(lines, format!("file has {lines} lines"));
    }
    if relative.file_name().is_some_and(|name| name == "mod.rs") {
        for item in &file.items {
            let fine = matches!(item, syn::Item::Use(_))
                || matches!(item, syn::Item::Mod(m) if m.content.is_none());
            if !fine {
                inspector.breach(item.span().start().line, "a mod.rs holds more than docs".into());
            }
        }
    }
    inspector.breaches
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .expect("source folder is readable")
        .map(|entry| entry.expect("entry is readable").path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn the_house_keeps_its_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    assert!(20 < files.len(), "the sources were not found");
    let mut breaches = BTreeMap::new();
    for path in files {
        let relative = path.strip_prefix(&root).expect("below the root").to_owned();
        let text = fs::read_to_string(&path).expect("source is readable");
        let found = inspect(&relative, &text);
        if !found.is_empty() {
            breaches.insert(relative, found);
        }
    }
    assert!(breaches.is_empty(), "house rules broken:\n{breaches:#?}");
}

/// Other crates: lengths and docs only; their floors are cargo's business.
#[test]
fn the_other_crates_keep_their_files_short() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").to_owned();
    let mut breaches = Vec::new();
    for folder in ["proto/src", "io-real/src", "io-sim/src", "io-sim/madsim/src", "sim-tests/src"] {
        let mut files = Vec::new();
        rust_files(&workspace.join(folder), &mut files);
        for path in files {
            let text = fs::read_to_string(&path).expect("source is readable");
            let lines = text.lines().count();
            if LINES_MAX < lines {
                breaches.push(format!("{}: {lines} lines", path.display()));
            }
            if !text.starts_with("//!") {
                breaches.push(format!("{}: no `//!` doc", path.display()));
            }
        }
    }
    assert!(breaches.is_empty(), "house rules broken:\n{breaches:#?}");
}

mod bad_examples {
    use super::*;

    fn breaches(file: &str, body: &str) -> Vec<String> {
        inspect(Path::new(file), &format!("//! Doc.\n{body}"))
    }

    fn assert_breach(file: &str, body: &str, words: &str) {
        let found = breaches(file, body);
        assert!(found.iter().any(|b| b.contains(words)), "{words:?} not among {found:?}");
    }

    #[test]
    fn arrows_that_go_up_or_sideways() {
        assert_breach("raft/group.rs", "use crate::replica::Replica;", "upward arrow");
        assert_breach("raft/group.rs", "use crate::{base::id, mvcc::read};", "sideways arrow");
        assert_breach("step/task.rs", "fn f() { crate::node::now(); }", "upward arrow");
        assert_breach("base/id.rs", "use super::super::sql::ports;", "upward arrow");
        assert_breach("mvcc/gc.rs", "fn f(x: super::super::txn::T) {}", "upward arrow");
        assert_breach("row/eval.rs", "fn f() { assert!(crate::sql::ok()); }", "upward arrow");
        assert_breach(
            "shard/map.rs",
            "mod inner { use super::super::super::txn; }",
            "upward arrow",
        );
        assert_breach("txn/a.rs", "use crate::sql::*;", "upward arrow");
    }

    #[test]
    fn doors_that_are_not_doors() {
        assert_breach("txn/mod.rs", "pub use crate::replica::Replica;", "`pub use`");
        assert_breach("txn/a.rs", "include!(\"b.rs\");", "include!");
        assert_breach("txn/mod.rs", "fn f() {}", "more than docs");
        assert_breach("cellar/a.rs", "", "no floor");
    }

    #[test]
    fn lengths_and_leftovers() {
        let long = format!("fn f() {{\n{}}}", "    g();\n".repeat(70));
        assert_breach("txn/a.rs", &long, "function f has 72 lines");
        assert_breach("txn/a.rs", &"\n".repeat(600), "file has 601 lines");
        assert_breach("txn/a.rs", "fn f() { todo!() }", "todo!");
        assert_breach("txn/a.rs", "#[test] #[ignore] fn f() {}", "ignored");
        assert!(inspect(Path::new("txn/a.rs"), "fn f() {}").iter().any(|b| b.contains("`//!`")));
    }

    #[test]
    fn good_examples_pass() {
        let none: Vec<String> = Vec::new();
        assert_eq!(breaches("txn/a.rs", "use crate::replica::request::ShardRequest;"), none);
        assert_eq!(breaches("sql/bind/a.rs", "use super::super::parse::ast;"), none);
        assert_eq!(breaches("node/mod.rs", "mod a;\npub use a::Node;"), none);
        assert_eq!(breaches("raft/a.rs", "use super::group::G; use crate::step::Stepper;"), none);
    }
}
