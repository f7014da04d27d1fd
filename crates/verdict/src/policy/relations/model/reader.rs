//! From what was written to a model: every name is looked up, and everything that is wrong is told
//! with its place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::object::{LONGEST_NAME, is_name};
use super::{
    MOST_RELATIONS, MOST_TERMS, MOST_TYPES, Misfit, Model, Relation, Taker, Term, WrittenRelation,
    WrittenTypes,
};

/// Reads what was written, and collects what is wrong with it.
pub(super) struct Reader<'a> {
    pub(super) written: &'a WrittenTypes,
    pub(super) misfits: Vec<Misfit>,
}

/// Where the reader is.
#[derive(Clone, Copy)]
struct At<'a> {
    kind: &'a str,
    relation: &'a str,
    part: &'static str,
    index: Option<usize>,
}

impl Reader<'_> {
    pub(super) fn read(&mut self) -> Model {
        let written = self.written;
        let mut model = Model::default();
        if written.len() > MOST_TYPES {
            let kind = written.keys().next().cloned().unwrap_or_default();
            self.misfit_of(
                &kind,
                None,
                format!("a model has at most {MOST_TYPES} types"),
                None,
            );
            return model;
        }
        for (kind, relations) in written {
            if !is_name(kind) {
                self.misfit_of(kind, None, NAMES.to_owned(), None);
            }
            if relations.len() > MOST_RELATIONS {
                let message = format!("a type has at most {MOST_RELATIONS} relations");
                self.misfit_of(kind, None, message, None);
            }
            let mut read = BTreeMap::new();
            for (name, relation) in relations {
                if !is_name(name) {
                    self.misfit_of(kind, Some(name), NAMES.to_owned(), None);
                }
                let relation = self.relation(kind, name, relation);
                read.insert(Arc::clone(&relation.name), relation);
            }
            model.types.insert(kind.as_str().into(), read);
        }
        model
    }

    fn relation(&mut self, kind: &str, name: &str, written: &WrittenRelation) -> Relation {
        let at = |part, index| At {
            kind,
            relation: name,
            part,
            index,
        };
        for (part, list) in [
            ("direct", &written.direct),
            ("any_of", &written.any_of),
            ("all_of", &written.all_of),
        ] {
            if list.len() > MOST_TERMS {
                let message = format!("the list has at most {MOST_TERMS} entries");
                self.misfit(at(part, None), message, None);
            }
            for (index, entry) in list.iter().enumerate() {
                if list[..index].contains(entry) {
                    let message = "this stands in the list twice".to_owned();
                    self.misfit(at(part, Some(index)), message, None);
                }
            }
        }
        if written.direct.is_empty() && written.any_of.is_empty() && written.all_of.is_empty() {
            self.misfit_of(
                kind,
                Some(name),
                "nobody could ever have this relation".to_owned(),
                Some("write direct, any_of or all_of".to_owned()),
            );
        }
        let direct = written.direct.iter().enumerate();
        let direct = direct
            .filter_map(|(index, text)| self.taker(at("direct", Some(index)), text))
            .collect();
        let mut terms = |part, list: &[String]| -> Vec<Term> {
            list.iter()
                .enumerate()
                .filter_map(|(index, text)| self.term(at(part, Some(index)), text))
                .collect()
        };
        let any_of = terms("any_of", &written.any_of);
        let all_of = terms("all_of", &written.all_of);
        let but_not = written.but_not.as_ref();
        Relation {
            name: name.into(),
            direct,
            any_of,
            all_of,
            but_not: but_not.and_then(|text| self.term(at("but_not", None), text)),
            reach: BTreeSet::new(),
        }
    }

    fn taker(&mut self, at: At<'_>, text: &str) -> Option<Taker> {
        let known = self.written;
        if let Some((kind, relation)) = text.split_once('#') {
            let Some(relations) = known.get(kind) else {
                self.unknown_type(at, kind);
                return None;
            };
            if !relations.contains_key(relation) {
                self.unknown_relation(at, kind, relation);
                return None;
            }
            return Some(Taker::Members(kind.into(), relation.into()));
        }
        let (kind, every) = match text.strip_suffix(":*") {
            Some(kind) => (kind, true),
            None => (text, false),
        };
        if !known.contains_key(kind) {
            self.unknown_type(at, kind);
            return None;
        }
        Some(if every {
            Taker::Every(kind.into())
        } else {
            Taker::One(kind.into())
        })
    }

    fn term(&mut self, at: At<'_>, text: &str) -> Option<Term> {
        let known = self.written;
        let own = known.get(at.kind)?;
        let Some((names, relation)) = text.split_once('.') else {
            if !own.contains_key(text) {
                self.unknown_relation(at, at.kind, text);
                return None;
            }
            return Some(Term::Same(text.into()));
        };
        let Some(named) = own.get(names) else {
            self.unknown_relation(at, at.kind, names);
            return None;
        };
        let plain = |text: &String| !text.contains('#') && !text.ends_with(":*");
        if named.direct.is_empty()
            || !named.direct.iter().all(plain)
            || !named.any_of.is_empty()
            || !named.all_of.is_empty()
            || named.but_not.is_some()
        {
            self.misfit(
                at,
                format!("`{names}` must name objects one by one to be followed by a dot"),
                Some(format!(
                    "let `{names}` have `direct` alone, with plain types in it"
                )),
            );
            return None;
        }
        let has = |kind: &String| {
            known
                .get(kind)
                .is_some_and(|all| all.contains_key(relation))
        };
        if !named.direct.iter().any(has) {
            let kinds = named.direct.join(", ");
            let others = named.direct.iter().filter_map(|kind| known.get(kind));
            let hint = hint(
                relation,
                others.flat_map(|all| all.keys().map(String::as_str)),
            );
            self.misfit(
                at,
                format!("nothing that `{names}` names ({kinds}) has a relation `{relation}`"),
                hint,
            );
            return None;
        }
        Some(Term::Through {
            names: names.into(),
            relation: relation.into(),
        })
    }

    fn unknown_type(&mut self, at: At<'_>, kind: &str) {
        let hint = hint(kind, self.written.keys().map(String::as_str));
        self.misfit(at, format!("there is no type `{kind}`"), hint);
    }

    fn unknown_relation(&mut self, at: At<'_>, kind: &str, relation: &str) {
        let own = self.written.get(kind).into_iter().flatten();
        let hint = hint(relation, own.map(|(name, _)| name.as_str()));
        self.misfit(at, format!("`{kind}` has no relation `{relation}`"), hint);
    }

    fn misfit(&mut self, at: At<'_>, message: String, hint: Option<String>) {
        self.misfits.push(Misfit {
            kind: at.kind.to_owned(),
            relation: Some(at.relation.to_owned()),
            part: Some((at.part, at.index)),
            message,
            hint,
        });
    }

    fn misfit_of(
        &mut self,
        kind: &str,
        relation: Option<&str>,
        message: String,
        hint: Option<String>,
    ) {
        self.misfits.push(Misfit {
            kind: kind.to_owned(),
            relation: relation.map(str::to_owned),
            part: None,
            message,
            hint,
        });
    }
}

const NAMES: &str = "a name is 1 to 63 lower-case letters, digits, hyphens and underscores, and begins and ends with a letter or digit";

/// The name that was probably meant, or those that there are.
pub(super) fn hint<'n>(wrong: &str, names: impl Iterator<Item = &'n str>) -> Option<String> {
    let names: BTreeSet<&str> = names.collect();
    let near = names
        .iter()
        .map(|name| (distance(wrong, name), *name))
        .min()
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4);
    match near {
        Some((_, name)) => Some(format!("did you mean `{name}`?")),
        None if names.is_empty() => None,
        None => {
            let list: Vec<_> = names.into_iter().take(20).collect();
            Some(format!("there is {}", list.join(", ")))
        }
    }
}

/// The same, to be put after a sentence.
pub(super) fn said(hint: Option<String>) -> String {
    hint.map(|hint| format!(" ({hint})")).unwrap_or_default()
}

/// How many letters differ (Levenshtein); texts that are far too long count as far.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 2 * LONGEST_NAME || b.len() > 2 * LONGEST_NAME {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut corner = core::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let change = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = change.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
