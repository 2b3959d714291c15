//! Which overload of a function or operator some types mean.
//!
//! # Source
//!
//! PostgreSQL 15, chapters 10.2 and 10.3, and `func_select_candidate`.

use crate::row::functions::{self, FunctionDef};
use crate::row::types::{CastContext, DataType, can_cast};

/// An overload, with its types spelled out for a number of arguments.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) function: &'static FunctionDef,
    pub(super) args: Vec<DataType>,
    pub(super) returns: DataType,
}

/// The outcome of a choice.
#[derive(Debug)]
pub(super) enum Choice {
    One(Box<Candidate>),
    Ambiguous,
    Nothing,
}

/// The operator that `op` means between these types (one type: a prefix operator).
pub(super) fn choose_operator(op: &str, types: &[DataType]) -> Choice {
    let candidates = functions::operators(op)
        .iter()
        .filter(|def| (def.left == 0) == (types.len() == 1))
        .filter_map(|def| {
            let function = functions::by_id(def.function)?;
            let mut args = Vec::with_capacity(2);
            if def.left != 0 {
                args.push(DataType::from_oid(def.left, -1)?);
            }
            args.push(DataType::from_oid(def.right, -1)?);
            let returns = DataType::from_oid(def.returns, -1)?;
            polymorphs_agree(&args, types).then_some(Candidate { function, args, returns })
        })
        .collect();
    // One operand without a type: assume the other's.
    let assumed: Vec<DataType> = match types {
        [left, right] if *left == DataType::Unknown && *right != DataType::Unknown => {
            vec![right.clone(), right.clone()]
        }
        [left, right] if *right == DataType::Unknown && *left != DataType::Unknown => {
            vec![left.clone(), left.clone()]
        }
        _ => types.to_vec(),
    };
    choose(candidates, types, &assumed)
}

/// Whether `anyelement` would be what `anyarray` holds.
fn polymorphs_agree(args: &[DataType], types: &[DataType]) -> bool {
    let of = |wanted: &DataType| {
        let mut pairs = args.iter().zip(types).filter(|(arg, _)| *arg == wanted);
        pairs.next().map(|(_, ty)| ty)
    };
    match (of(&DataType::AnyElement), of(&DataType::AnyArray).and_then(DataType::element)) {
        (Some(element), Some(held)) => !matches!(element, DataType::Array(_)) || *element == held,
        _ => true, // only one of both, or an array without a type
    }
}

/// The function that `name` means with these arguments.
pub(super) fn choose_function(name: &str, types: &[DataType]) -> Choice {
    let candidates = functions::candidates(name)
        .iter()
        .filter_map(|def| spelled_out(def, types.len()))
        .collect();
    choose(candidates, types, types)
}

fn spelled_out(def: &'static FunctionDef, count: usize) -> Option<Candidate> {
    let mut oids = def.args.to_vec();
    if def.variadic {
        let last = oids.pop()?;
        if count < oids.len() {
            return None;
        }
        let ty = DataType::from_oid(last, -1)?;
        let element = ty.element().map_or(last, |element| element.oid());
        oids.resize(count, element);
    }
    if oids.len() != count {
        return None;
    }
    let args = oids.iter().map(|oid| DataType::from_oid(*oid, -1)).collect::<Option<Vec<_>>>()?;
    Some(Candidate { function: def, args, returns: DataType::from_oid(def.returns, -1)? })
}

fn is_polymorphic(ty: &DataType) -> bool {
    matches!(ty, DataType::Any | DataType::AnyElement | DataType::AnyArray | DataType::AnyNonArray)
}

fn choose(mut candidates: Vec<Candidate>, types: &[DataType], assumed: &[DataType]) -> Choice {
    let exact = |candidate: &Candidate| {
        candidate.args.iter().zip(assumed).all(|(arg, ty)| arg.oid() == ty.oid())
    };
    if let Some(at) = candidates.iter().position(exact) {
        return Choice::One(Box::new(candidates.swap_remove(at)));
    }
    candidates.retain(|candidate| {
        let args = candidate.args.iter().zip(types);
        args.clone().all(|(arg, ty)| can_cast(ty, arg, CastContext::Implicit))
    });
    for round in [Round::Exact, Round::Preferred] {
        if candidates.len() <= 1 {
            break;
        }
        let score = |candidate: &Candidate| {
            let args = candidate.args.iter().zip(types);
            args.filter(|(arg, ty)| round.counts(arg, ty)).count()
        };
        let best = candidates.iter().map(score).max().unwrap_or(0);
        candidates.retain(|candidate| score(candidate) == best);
    }
    if 1 < candidates.len() {
        by_category(&mut candidates, types);
    }
    if 1 < candidates.len() {
        by_known_type(&mut candidates, types);
    }
    match (candidates.pop(), candidates.is_empty()) {
        (Some(candidate), true) => Choice::One(Box::new(candidate)),
        (Some(_), false) => Choice::Ambiguous,
        (None, _) => Choice::Nothing,
    }
}

/// What counts in favour of a candidate.
#[derive(Clone, Copy)]
enum Round {
    Exact,
    Preferred,
}

impl Round {
    fn counts(self, arg: &DataType, ty: &DataType) -> bool {
        if *ty == DataType::Unknown {
            return false;
        }
        let same = arg.oid() == ty.oid();
        match self {
            Self::Exact => same,
            Self::Preferred => same || (arg.is_preferred() && arg.category() == ty.category()),
        }
    }
}

/// Arguments without a type take the category that the candidates agree on, strings first.
fn by_category(candidates: &mut Vec<Candidate>, types: &[DataType]) {
    for (at, ty) in types.iter().enumerate() {
        if *ty != DataType::Unknown {
            continue;
        }
        let mut categories = candidates.iter().map(|candidate| candidate.args[at].category());
        let first = categories.next().unwrap_or(b'S');
        let category = if first == b'S' || categories.clone().any(|other| other == b'S') {
            b'S'
        } else if categories.all(|other| other == first) {
            first
        } else {
            return;
        };
        candidates.retain(|candidate| candidate.args[at].category() == category);
        if candidates.iter().any(|candidate| candidate.args[at].is_preferred()) {
            candidates.retain(|candidate| candidate.args[at].is_preferred());
        }
    }
}

/// If all known arguments have one type, the unknown ones are assumed to have it too.
fn by_known_type(candidates: &mut Vec<Candidate>, types: &[DataType]) {
    let mut known = types.iter().filter(|ty| **ty != DataType::Unknown);
    let Some(first) = known.next() else { return };
    if !types.contains(&DataType::Unknown) || known.any(|ty| ty.oid() != first.oid()) {
        return;
    }
    let accepts = |candidate: &Candidate| {
        candidate.args.iter().all(|arg| can_cast(first, arg, CastContext::Implicit))
    };
    if candidates.iter().filter(|candidate| accepts(candidate)).count() == 1 {
        candidates.retain(accepts);
    }
}

impl Candidate {
    /// Parameters and result with pseudo-types replaced by what the arguments are.
    pub(super) fn settle(&mut self, types: &[DataType]) {
        let mut element = None;
        for (arg, ty) in self.args.iter().zip(types) {
            if *ty == DataType::Unknown {
                continue;
            }
            match arg {
                DataType::AnyElement | DataType::AnyNonArray => {
                    element.get_or_insert(ty.without_modifier());
                }
                DataType::AnyArray => {
                    element = element.or_else(|| ty.element());
                }
                _ => {} // says nothing
            }
        }
        let element = element.unwrap_or(DataType::Text);
        for (arg, ty) in self.args.iter_mut().zip(types) {
            *arg = match arg {
                DataType::Any if *ty == DataType::Unknown => DataType::Text,
                DataType::Any => ty.clone(),
                DataType::AnyElement | DataType::AnyNonArray => element.clone(),
                DataType::AnyArray if ty.element().is_some() => ty.clone(),
                DataType::AnyArray => DataType::array_of(element.clone()),
                _ => continue, // a type already
            };
        }
        if is_polymorphic(&self.returns) {
            self.returns = match self.returns {
                DataType::AnyArray => DataType::array_of(element),
                _ => element,
            };
        }
    }
}
