use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use proptest::prelude::*;

use super::testing::{Cache, Choices, Memory, NOW, model, naive, things, tuples};
use super::*;
use crate::facts::Unavailable;
use crate::testing::run;

/// A model from `type: relation = direct | any_of | all_of | but_not`, entries apart by blanks.
fn written(lines: &[&str]) -> WrittenTypes {
    let mut types = WrittenTypes::new();
    for line in lines {
        let (kind, rest) = line.split_once(':').unwrap_or((line, ""));
        let relations = types.entry(kind.trim().to_owned()).or_default();
        let Some((name, rest)) = rest.split_once('=') else {
            continue;
        };
        let mut parts = rest.split('|').map(|part| {
            part.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        });
        let mut next = || parts.next().unwrap_or_default();
        let relation = WrittenRelation {
            direct: next(),
            any_of: next(),
            all_of: next(),
            but_not: next().pop(),
        };
        relations.insert(name.trim().to_owned(), relation);
    }
    types
}

fn shop() -> Model {
    Model::prepare(&written(&[
        "user",
        "group: member = user group#member",
        "shop: staff = user group#member",
        "order: shop = shop",
        "order: owner = user",
        "order: blocked = user",
        "order: viewer = user user:* | owner shop.staff",
        "order: editor = | owner | | blocked",
        "order: auditor = | shop.staff | viewer owner",
    ]))
    .expect("is sound")
}

fn asked(memory: &Memory, subject: &str, relation: &str, object: &str) -> Answer<Checked> {
    let (subject, object) = (subject.parse().unwrap(), object.parse().unwrap());
    run(check_over(
        &shop(),
        &subject,
        relation,
        &object,
        memory,
        NOW,
    ))
}

fn holds(memory: &Memory, subject: &str, relation: &str, object: &str) -> bool {
    asked(memory, subject, relation, object)
        .expect("answers")
        .holds()
}

#[test]
fn j01_only_whom_tuples_lead_to_has_a_relation_and_the_way_is_told() {
    let memory = Memory::of(&[
        "order:1#owner@user:ada",
        "order:1#shop@shop:berlin",
        "shop:berlin#staff@group:hands#member",
        "group:hands#member@group:night#member",
        "group:night#member@user:nic",
    ]);
    let Ok(Checked::Yes(steps)) = asked(&memory, "user:nic", "viewer", "order:1") else {
        panic!("nic is of the staff");
    };
    let way: Vec<_> = steps.iter().map(ToString::to_string).collect();
    assert_eq!(
        way,
        [
            "order:1#viewer follows from order:1#shop@shop:berlin",
            "shop:berlin#staff@group:hands#member",
            "group:hands#member@group:night#member",
            "group:night#member@user:nic",
        ]
    );
    let Ok(Checked::Yes(steps)) = asked(&memory, "user:ada", "viewer", "order:1") else {
        panic!("ada owns it");
    };
    let way: Vec<_> = steps.iter().map(ToString::to_string).collect();
    assert_eq!(
        way,
        [
            "order:1#viewer follows from owner",
            "order:1#owner@user:ada"
        ]
    );
    for (subject, relation, object) in [
        ("user:bob", "viewer", "order:1"),
        ("user:ada", "viewer", "order:2"),
        ("user:nic", "owner", "order:1"),
        ("user:Ada", "owner", "order:1"),
        ("user:ada", "unknown", "order:1"),
        ("ghost:ada", "viewer", "order:1"),
        ("user:ada", "viewer", "ghost:1"),
    ] {
        assert!(
            !holds(&memory, subject, relation, object),
            "{subject} {relation} {object}"
        );
    }
}

#[test]
fn what_is_taken_away_or_asked_for_together_is_judged_so() {
    let memory = Memory::of(&[
        "order:1#owner@user:ada",
        "order:1#owner@user:bob",
        "order:1#blocked@user:bob",
        "order:1#shop@shop:berlin",
        "shop:berlin#staff@user:ada",
        "shop:berlin#staff@user:nic",
    ]);
    assert!(holds(&memory, "user:ada", "editor", "order:1"));
    assert!(!holds(&memory, "user:bob", "editor", "order:1"));
    assert!(holds(&memory, "user:ada", "auditor", "order:1"));
    assert!(
        !holds(&memory, "user:nic", "auditor", "order:1"),
        "nic owns nothing"
    );
    assert!(
        !holds(&memory, "user:bob", "auditor", "order:1"),
        "bob is not of the staff"
    );
}

#[test]
fn everybody_of_a_type_has_what_is_given_to_everybody_and_nobody_else() {
    let memory = Memory::of(&["order:1#viewer@user:*", "order:1#owner@user:*"]);
    assert!(holds(&memory, "user:whoever", "viewer", "order:1"));
    assert!(!holds(&memory, "group:whoever", "viewer", "order:1"));
    assert!(
        !holds(&memory, "user:whoever", "owner", "order:1"),
        "owner does not take everybody"
    );
}

#[test]
fn a_grant_ends_at_its_time_whatever_is_remembered() {
    for cache in [Cache::All, Cache::Nothing] {
        let mut memory = Memory::of(&[]);
        memory.cache = cache;
        for (name, until) in [("before", 999), ("at", 1000), ("after", 1001)] {
            let tuple = format!("order:1#owner@user:{name}").parse().unwrap();
            let until = Some(Timestamp::from_millis(until));
            memory.tuples.insert(tuple, Grant { until });
        }
        assert!(!holds(&memory, "user:before", "viewer", "order:1"));
        assert!(!holds(&memory, "user:at", "viewer", "order:1"));
        assert!(holds(&memory, "user:after", "viewer", "order:1"));
    }
}

#[test]
fn h04_groups_that_hold_each_other_come_to_an_end() {
    let memory = Memory::of(&[
        "group:a#member@group:b#member",
        "group:b#member@group:c#member",
        "group:c#member@group:a#member",
        "group:c#member@user:ada",
        "shop:s#staff@group:a#member",
        "order:1#shop@shop:s",
    ]);
    for name in ["a", "b", "c"] {
        assert!(holds(
            &memory,
            "user:ada",
            "member",
            &format!("group:{name}")
        ));
        assert!(!holds(
            &memory,
            "user:bob",
            "member",
            &format!("group:{name}")
        ));
    }
    assert!(holds(&memory, "user:ada", "viewer", "order:1"));
}

fn chain(groups: usize) -> Memory {
    let mut lines: Vec<String> = (1..groups)
        .map(|at| format!("group:{at}#member@group:{}#member", at + 1))
        .collect();
    lines.push(format!("group:{groups}#member@user:ada"));
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    Memory::of(&lines)
}

#[test]
fn h04_what_lies_deeper_than_the_bound_is_too_much_and_never_a_yes() {
    for cache in [Cache::All, Cache::Nothing, Cache::Some] {
        let mut memory = chain(MOST_DEPTH);
        memory.cache = cache;
        assert!(holds(&memory, "user:ada", "member", "group:1"), "{cache:?}");
        let mut memory = chain(MOST_DEPTH + 1);
        memory.cache = cache;
        assert_eq!(
            asked(&memory, "user:ada", "member", "group:1"),
            Ok(Checked::TooMuch),
            "{cache:?}"
        );
    }
}

#[test]
fn h04_a_relation_that_spreads_beyond_the_bound_is_too_much() {
    let wide = |groups: usize| {
        let lines: Vec<String> = (0..groups)
            .map(|at| format!("group:top#member@group:{at}#member"))
            .collect();
        Memory::of(&lines.iter().map(String::as_str).collect::<Vec<_>>())
    };
    // The group, ada in it, and every group in it.
    let memory = wide(MOST_READS - 2);
    assert_eq!(
        asked(&memory, "user:ada", "member", "group:top"),
        Ok(Checked::No)
    );
    let mut memory = wide(MOST_READS - 1);
    assert_eq!(
        asked(&memory, "user:ada", "member", "group:top"),
        Ok(Checked::TooMuch)
    );
    memory.cache = Cache::Nothing;
    assert_eq!(
        asked(&memory, "user:ada", "member", "group:top"),
        Ok(Checked::TooMuch)
    );
    assert!(
        memory.asked.load(Ordering::Relaxed) <= MOST_READS,
        "no more is read than that"
    );
}

#[test]
fn what_is_at_hand_is_not_asked_for_and_what_can_not_be_read_is_no_answer() {
    let mut memory = Memory::of(&["order:1#owner@user:ada"]);
    assert!(holds(&memory, "user:ada", "owner", "order:1"));
    assert_eq!(memory.asked.load(Ordering::Relaxed), 0);
    memory.cache = Cache::Nothing;
    memory.out = true;
    assert_eq!(
        asked(&memory, "user:ada", "owner", "order:1"),
        Err(Unavailable::Store)
    );
    // What the model excludes needs no look.
    assert_eq!(
        asked(&memory, "shop:s", "owner", "order:1"),
        Ok(Checked::No)
    );
}

#[test]
fn a_large_group_is_asked_for_its_one_member() {
    let lines: Vec<String> = (0..500)
        .map(|at| format!("group:g#member@user:u{at}"))
        .collect();
    let mut memory = Memory::of(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    memory.cache = Cache::Nothing;
    assert!(holds(&memory, "user:u499", "member", "group:g"));
    assert!(!holds(&memory, "user:u500", "member", "group:g"));
    assert_eq!(
        memory.asked.load(Ordering::Relaxed),
        4,
        "the group and the member, twice"
    );
}

#[test]
fn a_model_is_refused_with_everything_that_is_wrong_with_it() {
    let said = |lines: &[&str]| -> Vec<String> {
        let misfits = Model::prepare(&written(lines)).expect_err("is flawed");
        misfits
            .iter()
            .map(|misfit| {
                let part = misfit.part.map(|(part, index)| {
                    format!(
                        " {part}{}",
                        index.map(|at| format!("[{at}]")).unwrap_or_default()
                    )
                });
                let relation = misfit.relation.as_deref().unwrap_or("-");
                format!(
                    "{} {relation}{}: {} ({})",
                    misfit.kind,
                    part.unwrap_or_default(),
                    misfit.message,
                    misfit.hint.as_deref().unwrap_or("-")
                )
            })
            .collect()
    };
    let flaws = [
        said(&[
            "user",
            "order: owner = usr",
            "order: viewer = | ownr",
            "order: x = user user",
        ]),
        said(&[
            "user",
            "group: member = user",
            "order: owner = user group#membr",
            "order: nobody =",
        ]),
        said(&[
            "user",
            "shop: staff = user",
            "order: shop = shop user | owner",
            "order: owner = user",
            "order: v = | shop.staff",
        ]),
        said(&[
            "user",
            "shop: staff = user",
            "order: shop = shop",
            "order: v = | shop.stuff",
        ]),
        said(&["user", "Order: owner = user", "doc: Own_ = user"]),
        said(&["user", "doc: a = user | | | b", "doc: b = user | a"]),
        said(&["user", "doc: a = user | b", "doc: b = user | a"]),
        said(&[
            "user",
            "g: member = user g#other | | | banned",
            "g: other = user",
            "g: banned = g#member",
        ]),
    ];
    insta::assert_snapshot!(flaws.concat().join("\n"));
}

#[test]
fn a_tuple_that_the_model_does_not_take_is_told_why() {
    let model = shop();
    for (tuple, why) in [
        ("order:1#owner@user:ada", None),
        ("order:1#viewer@user:*", None),
        (
            "order:1#owner@user:*",
            Some("`owner` of `order` does not take `user:*`: its `direct` does not list it"),
        ),
        (
            "order:1#owner@group:g#member",
            Some("`owner` of `order` does not take `group#member`: its `direct` does not list it"),
        ),
        (
            "order:1#editor@user:ada",
            Some("`editor` of `order` follows from other relations; no tuple of it is written"),
        ),
        (
            "order:1#ownr@user:ada",
            Some("`order` has no relation `ownr` (did you mean `owner`?)"),
        ),
        (
            "ordr:1#owner@user:ada",
            Some("there is no type `ordr` (did you mean `order`?)"),
        ),
    ] {
        assert_eq!(
            model.refuses(&tuple.parse().unwrap()).as_deref(),
            why,
            "{tuple}"
        );
    }
}

#[test]
fn lists_tell_objects_and_subjects_and_how_a_relation_comes_about() {
    let memory = Memory::of(&[
        "order:1#owner@user:ada",
        "order:2#owner@user:bob",
        "order:2#shop@shop:berlin",
        "order:3#viewer@user:*",
        "order:3#owner@user:eve",
        "order:3#blocked@user:eve",
        "shop:berlin#staff@group:hands#member",
        "group:hands#member@user:ada",
        "group:hands#member@group:hands#member",
    ]);
    let model = shop();
    let ada: Object = "user:ada".parse().unwrap();
    let found = run(list_objects(&model, &ada, "viewer", "order", &memory, NOW)).unwrap();
    let names: Vec<_> = found.iter().map(Object::as_str).collect();
    assert_eq!(names, ["order:1", "order:2", "order:3"]);
    let order = "order:3".parse().unwrap();
    let found = run(list_subjects(
        &model, "user", "viewer", &order, &memory, NOW,
    ))
    .unwrap();
    assert!(found.everyone && found.except.is_empty());
    let order: Object = "order:2".parse().unwrap();
    let tree = run(expand(&model, "viewer", &order, &memory, NOW)).unwrap();
    assert_eq!(
        tree.any_of[0].trees[0].tree.subjects[0].subject.to_string(),
        "user:bob"
    );
    let staff = &tree.any_of[1].trees[0].tree;
    assert_eq!(staff.object.as_str(), "shop:berlin");
    let members = staff.subjects[0].members.as_ref().expect("is a group");
    assert!(
        members.subjects[1]
            .members
            .as_ref()
            .is_some_and(|again| again.again)
    );
    assert_eq!(members.subjects[0].subject.to_string(), "user:ada");
}

#[test]
fn a_list_beyond_a_bound_is_refused_with_the_bound_and_not_cut() {
    let orders = |count: usize| {
        let lines: Vec<String> = (0..count)
            .map(|at| format!("order:{at}#owner@user:ada"))
            .collect();
        Memory::of(&lines.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let (model, ada) = (shop(), "user:ada".parse().unwrap());
    let list = |memory: &Memory| {
        run(list_objects(&model, &ada, "owner", "order", memory, NOW)).map(|found| found.len())
    };
    assert_eq!(list(&orders(MOST_ANSWERS)), Ok(MOST_ANSWERS));
    assert_eq!(
        list(&orders(MOST_ANSWERS + 1)).unwrap_err().to_string(),
        "this goes beyond the 1000 entries that a list may have"
    );
    assert_eq!(
        list(&orders(MOST_TUPLES + 1)).unwrap_err().to_string(),
        "this goes beyond the 10000 tuples that are read for one list"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn h04_the_fast_evaluator_equals_the_naive_one_on_random_models_with_and_without_caches(
        numbers in prop::collection::vec(any::<u16>(), 40..400), count in 0_usize..60, whole in 0_usize..6,
    ) {
        let mut choices = Choices(&numbers, 0);
        let model = model(&mut choices);
        let mut memory = Memory::new(tuples(&mut choices, count));
        memory.whole = if whole == 0 { WHOLE } else { whole };
        let truth = naive(&model, &memory.tuples, &things(), NOW);
        for cache in [Cache::All, Cache::Nothing, Cache::Some] {
            memory.cache = cache;
            for ((object, relation), subjects) in &truth {
                for subject in &things() {
                    let found = run(check_over(&model, subject, relation, object, &memory, NOW)).unwrap();
                    let expected = subjects.contains(subject);
                    // Where a relation names objects, more than can be held at once are not followed.
                    if found == Checked::TooMuch && memory.whole < WHOLE {
                        continue;
                    }
                    prop_assert_eq!(found.holds(), expected, "{} {} {}: {:?}", subject, relation, object, found);
                    prop_assert_ne!(found, Checked::TooMuch);
                }
            }
        }
    }

    #[test]
    fn h04_lists_equal_the_naive_answer_on_random_models(
        numbers in prop::collection::vec(any::<u16>(), 40..400), count in 0_usize..60,
    ) {
        let mut choices = Choices(&numbers, 0);
        let model = model(&mut choices);
        let memory = Memory::new(tuples(&mut choices, count));
        let mut all = things();
        let stranger: Object = "user:stranger".parse().unwrap();
        all.insert(stranger.clone());
        let truth = naive(&model, &memory.tuples, &all, NOW);
        for subject in &all {
            let mut objects: BTreeMap<(&str, &str), Vec<&Object>> = BTreeMap::new();
            for ((object, relation), subjects) in &truth {
                let list = objects.entry((object.kind(), relation)).or_default();
                if subjects.contains(subject) {
                    list.push(object);
                }
            }
            for ((kind, relation), expected) in objects {
                let found = run(list_objects(&model, subject, relation, kind, &memory, NOW)).unwrap();
                prop_assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{} {} {}", subject, relation, kind);
            }
        }
        for ((object, relation), subjects) in &truth {
            for kind in ["user", "group", "folder", "doc"] {
                let found = run(list_subjects(&model, kind, relation, object, &memory, NOW)).unwrap();
                let of_kind = |one: &&Object| one.kind() == kind;
                let expected: BTreeSet<&Object> = subjects.iter().filter(of_kind).collect();
                let mut said: BTreeSet<&Object> = found.subjects.iter().collect();
                if kind == "user" {
                    prop_assert_eq!(found.everyone, subjects.contains(&stranger));
                }
                if found.everyone {
                    said.extend(all.iter().filter(of_kind).filter(|one| !found.except.contains(one)));
                }
                prop_assert_eq!(said, expected, "{} {} {}", kind, relation, object);
                run(expand(&model, relation, object, &memory, NOW)).ok();
            }
        }
    }
}
