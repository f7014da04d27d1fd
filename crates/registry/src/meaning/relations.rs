//! What `RelationModel` documents mean together: one model, which every API is judged by.

use std::collections::BTreeMap;
use std::sync::Arc;

use verdict::policy::relations::{Misfit, Model, WrittenRelation, WrittenTypes};
use verdict::policy::{HOLDER, ROLE};

use super::{At, Set, each};
use crate::document::Spec;
use crate::flaw::{Flaw, Place};
use crate::resource::ResourceKind;

/// The model; `None` if it has flaws.
pub(super) fn mean(set: &Set<'_>, flaws: &mut Vec<Flaw>) -> Option<Arc<Model>> {
    let mut types = WrittenTypes::new();
    let mut places: BTreeMap<String, At> = BTreeMap::new();
    let before = flaws.len();
    for (document, at) in each(set) {
        let Spec::RelationModel(spec) = &document.spec else {
            continue;
        };
        let place = Place::spec().key("types");
        if spec.types.is_empty() {
            at.on(flaws)
                .flaw(place.clone(), "a model has one type at least");
        }
        for (kind, written) in &spec.types {
            let place = place.key(kind);
            if let Some(other) = places.get(kind) {
                at.on(flaws).hinted(
                    place.clone(),
                    format!(
                        "the type `{kind}` is declared in RelationModel `{}` already",
                        other.0.name
                    ),
                    "a type stands in one document only",
                );
                continue;
            }
            for (name, relation) in &written.relations {
                let place = place.key("relations").key(name);
                for (part, list) in [
                    ("direct", &relation.direct),
                    ("any_of", &relation.any_of),
                    ("all_of", &relation.all_of),
                ] {
                    at.on(flaws).not_empty(place.key(part), list.as_deref());
                }
            }
            let relations = written.relations.iter();
            let relations = relations.map(|(name, one)| (name.clone(), one.written()));
            types.insert(kind.clone(), relations.collect());
            places.insert(kind.clone(), at.clone());
        }
    }
    // What a document that can't be read declares is missing everywhere else.
    let kind = ResourceKind::RelationModel.name();
    if flaws.len() > before || set.broken.iter().any(|(of, _)| of == kind) {
        return None;
    }
    add_own(&mut types);
    match Model::prepare(&types) {
        Ok(model) => Some(Arc::new(model)),
        Err(misfits) => {
            for misfit in misfits {
                if let Some(at) = places.get(&misfit.kind) {
                    report(at, misfit, flaws);
                }
            }
            None
        }
    }
}

/// What is there without being declared: those who call, and roles, which people hold for a time. A
/// document that declares one of these has its own word.
fn add_own(types: &mut WrittenTypes) {
    const CALLERS: [&str; 3] = ["user", "client", "service"];
    for kind in CALLERS {
        types.entry(kind.to_owned()).or_default();
    }
    if types.contains_key(ROLE) {
        return;
    }
    let mut direct: Vec<_> = CALLERS.map(str::to_owned).into();
    if types
        .get("group")
        .is_some_and(|group| group.contains_key("member"))
    {
        direct.push("group#member".to_owned());
    }
    let holder = WrittenRelation {
        direct,
        ..WrittenRelation::default()
    };
    types.insert(ROLE.to_owned(), [(HOLDER.to_owned(), holder)].into());
}

fn report(at: &At, misfit: Misfit, flaws: &mut Vec<Flaw>) {
    let mut place = Place::spec().key("types").key(&misfit.kind);
    if let Some(relation) = &misfit.relation {
        place = place.key("relations").key(relation);
    }
    if let Some((part, index)) = misfit.part {
        place = place.key(part);
        if let Some(index) = index {
            place = place.index(index);
        }
    }
    let report = &mut at.on(flaws);
    match misfit.hint {
        Some(hint) => report.hinted(place, misfit.message, hint),
        None => report.flaw(place, misfit.message),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{mean_all, tests};
    use crate::document::{Document, DocumentKind};
    use crate::resource::ResourceKind;

    fn model(name: &str, types: &Value) -> Document {
        let kind = DocumentKind::Resource(ResourceKind::RelationModel);
        Document::from_parts(kind, name, json!({ "types": types })).expect("has the right shape")
    }

    fn flaws(documents: &[Document]) -> Vec<String> {
        let flaws = mean_all(documents, &tests::context()).expect_err("is flawed");
        flaws.iter().map(ToString::to_string).collect()
    }

    fn orders() -> Value {
        json!({
            "order": { "relations": {
                "shop": { "direct": ["shop"] },
                "owner": { "direct": ["user"] },
                "viewer": { "any_of": ["owner", "shop.staff"] },
            }},
        })
    }

    fn shops() -> Value {
        json!({ "user": {}, "shop": { "relations": { "staff": { "direct": ["user"] } } } })
    }

    #[test]
    fn documents_that_declare_types_make_one_model() {
        let documents = [model("orders", &orders()), model("shops", &shops())];
        let meaning = mean_all(&documents, &tests::context()).expect("is sound");
        let model = meaning.relations.expect("there is one");
        assert!(model.relation("order", "viewer").is_some());
        assert!(model.relation("shop", "staff").is_some());
        // Those who call, and roles, are there without being declared.
        let none = mean_all(&[], &tests::context()).expect("is sound");
        let model = none.relations.expect("there is one");
        assert!(model.knows("user") && model.relation("role", "holder").is_some());
        assert!(!model.knows("order"));
    }

    #[test]
    fn every_flaw_of_a_model_has_its_place() {
        let documents = [
            model("shops", &shops()),
            model(
                "orders",
                &json!({
                    "user": {},
                    "order": { "relations": {
                        "shop": { "direct": ["shopp"] },
                        "viewer": { "any_of": ["ownr"] },
                    }},
                }),
            ),
        ];
        let said = flaws(&documents);
        assert_eq!(
            said,
            [
                "RelationModel/orders spec.types.user: the type `user` is declared in RelationModel `shops` already (a type stands in one document only)"
            ]
        );
        let documents = [
            model("shops", &shops()),
            model(
                "orders",
                &json!({ "order": { "relations": {
                    "shop": { "direct": ["shopp"] },
                    "owner": { "direct": ["user"] },
                    "viewer": { "any_of": ["ownr", "shop.staff"] },
                    "empty": {},
                }}}),
            ),
        ];
        let said = flaws(&documents);
        assert_eq!(
            said,
            [
                "RelationModel/orders spec.types.order.relations.empty: nobody could ever have this relation (write direct, any_of or all_of)",
                "RelationModel/orders spec.types.order.relations.shop.direct[0]: there is no type `shopp` (did you mean `shop`?)",
                "RelationModel/orders spec.types.order.relations.viewer.any_of[0]: `order` has no relation `ownr` (did you mean `owner`?)",
                "RelationModel/orders spec.types.order.relations.viewer.any_of[1]: nothing that `shop` names (shopp) has a relation `staff`",
            ]
        );
    }
}
