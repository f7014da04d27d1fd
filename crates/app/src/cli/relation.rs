//! `relation add|remove|list|check|objects|subjects|expand`: who has what to do with which object.

use clap::{Args, Subcommand};
use web::admin::view::{
    AddTuple, BranchView, CheckRelation, CheckRelations, CheckedRelations, ExpandRelation,
    LeftOverView, ListObjects, ListSubjects, ListedObjects, ListedSubjects, Page, TreeView,
    TupleView, WriteRelations, WroteRelations,
};

use super::client::AdminClient;
use super::credential::End;
use super::failure::{Failure, Outcome};
use super::screen::{Screen, seen_from};

const RELATIONS: &str = "/v1/relations";
/// Most pages of a list that are read: a thousand entries each.
const MOST_PAGES: usize = 100;

/// What must be so for a write.
#[derive(Debug, Args)]
pub(crate) struct Expected {
    /// Only if this tuple stands; may be repeated
    #[arg(long = "if", value_name = "TUPLE")]
    must: Vec<String>,
    /// Only if this tuple does not stand; may be repeated
    #[arg(long = "unless", value_name = "TUPLE")]
    must_not: Vec<String>,
}

/// What can be done with relations.
#[derive(Debug, Subcommand)]
pub(crate) enum RelationAct {
    /// Writes tuples down, all of them or none
    Add {
        /// `object#relation@subject`, e.g. order:1001#owner@user:ada
        #[arg(required = true, value_name = "TUPLE")]
        tuples: Vec<String>,
        /// When they end by themselves: a time, or a length of time like 8h
        #[arg(long, value_name = "TIME")]
        until: Option<End>,
        /// What they are for
        #[arg(long)]
        purpose: Option<String>,
        #[command(flatten)]
        expected: Expected,
    },
    /// Takes tuples back, all of them or none
    Remove {
        /// `object#relation@subject`
        #[arg(required = true, value_name = "TUPLE")]
        tuples: Vec<String>,
        #[command(flatten)]
        expected: Expected,
    },
    /// Lists tuples
    List {
        /// Of objects of this type
        #[arg(long = "type", value_name = "TYPE", conflicts_with = "object")]
        kind: Option<String>,
        /// Of this object
        #[arg(long, value_name = "TYPE:ID")]
        object: Option<String>,
        /// Of this relation
        #[arg(long)]
        relation: Option<String>,
        /// With this subject, e.g. user:ada or group:staff#member
        #[arg(long, value_name = "SUBJECT")]
        subject: Option<String>,
        /// Those that count for nothing, since the model does not take them (any more)
        #[arg(long, conflicts_with_all = ["kind", "object", "relation", "subject"])]
        left_over: bool,
    },
    /// Tells whether a subject has a relation to an object, and why; ends with 1 if not
    Check {
        /// Who, e.g. user:ada
        subject: String,
        /// The relation
        relation: String,
        /// To what, e.g. order:1001
        object: String,
        /// Know of the write that answered this token
        #[arg(long, value_name = "TOKEN")]
        at_least: Option<String>,
    },
    /// Lists the objects of a type that a subject has a relation to
    Objects {
        /// Who, e.g. user:ada
        subject: String,
        /// The relation
        relation: String,
        /// The type of the objects
        #[arg(value_name = "TYPE")]
        kind: String,
    },
    /// Lists the subjects of a type that have a relation to an object
    Subjects {
        /// To what, e.g. order:1001
        object: String,
        /// The relation
        relation: String,
        /// The type of the subjects
        #[arg(value_name = "TYPE", default_value = "user")]
        kind: String,
    },
    /// Tells how a relation to an object comes about
    Expand {
        /// The object, e.g. order:1001
        object: String,
        /// The relation
        relation: String,
    },
}

/// Does it.
pub(crate) async fn run(act: RelationAct, client: &AdminClient, screen: Screen) -> Outcome<()> {
    match act {
        RelationAct::Add {
            tuples,
            until,
            purpose,
            expected,
        } => {
            let add = tuples.into_iter().map(|tuple| AddTuple {
                tuple,
                until: until.map(|until| until.0),
                purpose: purpose.clone(),
            });
            let body = WriteRelations {
                add: add.collect(),
                must: expected.must,
                must_not: expected.must_not,
                ..WriteRelations::default()
            };
            write(&body, client, screen).await
        }
        RelationAct::Remove { tuples, expected } => {
            let body = WriteRelations {
                remove: tuples,
                must: expected.must,
                must_not: expected.must_not,
                ..WriteRelations::default()
            };
            write(&body, client, screen).await
        }
        RelationAct::List {
            left_over: true, ..
        } => left_over(client, screen).await,
        RelationAct::List {
            kind,
            object,
            relation,
            subject,
            left_over: _,
        } => {
            let filter = [
                ("type", kind),
                ("object", object),
                ("relation", relation),
                ("subject", subject),
            ];
            list(&filter, client, screen).await
        }
        RelationAct::Check {
            subject,
            relation,
            object,
            at_least,
        } => {
            let question = CheckRelation {
                subject,
                relation,
                object,
            };
            check(question, at_least, client, screen).await
        }
        RelationAct::Objects {
            subject,
            relation,
            kind,
        } => {
            let body = ListObjects {
                subject,
                relation,
                r#type: kind,
            };
            let found: ListedObjects = client.post(&at("list-objects"), &body).await?;
            if screen.is_json() {
                return screen.json(&found);
            }
            if found.objects.is_empty() {
                screen.note("There is no such object.");
            }
            found
                .objects
                .iter()
                .try_for_each(|object| screen.line(object))
        }
        RelationAct::Subjects {
            object,
            relation,
            kind,
        } => {
            let body = ListSubjects {
                object,
                relation,
                r#type: kind,
            };
            subjects(&body, client, screen).await
        }
        RelationAct::Expand { object, relation } => {
            let body = ExpandRelation { object, relation };
            let tree: TreeView = client.post(&at("expand"), &body).await?;
            if screen.is_json() {
                return screen.json(&tree);
            }
            let mut lines = Vec::new();
            draw(&tree, 0, &mut lines, screen);
            lines.iter().try_for_each(|line| screen.line(line))
        }
    }
}

fn at(act: &str) -> String {
    format!("{RELATIONS}/{act}")
}

async fn write(body: &WriteRelations, client: &AdminClient, screen: Screen) -> Outcome<()> {
    let wrote: WroteRelations = client.post(RELATIONS, body).await?;
    if screen.is_json() {
        return screen.json(&wrote);
    }
    screen.fields(&[
        ("added", wrote.added.to_string()),
        ("removed", wrote.removed.to_string()),
        ("at", wrote.at),
    ])
}

async fn list(
    filter: &[(&str, Option<String>)],
    client: &AdminClient,
    screen: Screen,
) -> Outcome<()> {
    let mut items: Vec<TupleView> = Vec::new();
    let mut after: Option<String> = None;
    for page in 0.. {
        if page == MOST_PAGES {
            screen.note("There is more: narrow it down with --type, --object or --subject.");
            break;
        }
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in filter {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        if let Some(after) = &after {
            query.append_pair("after", after);
        }
        query.append_pair("limit", "1000");
        let found: Page<TupleView> = client
            .get(&format!("{RELATIONS}?{}", query.finish()))
            .await?;
        items.extend(found.items);
        after = found.next;
        if after.is_none() {
            break;
        }
    }
    if screen.is_json() {
        return screen.json(&Page { items, next: after });
    }
    let rows = items.into_iter().map(|tuple| {
        vec![
            tuple.tuple,
            tuple
                .until
                .map(|until| seen_from(until.0, screen.now))
                .unwrap_or_default(),
            tuple.purpose.unwrap_or_default(),
            seen_from(tuple.created_at.0, screen.now),
            tuple.created_by,
        ]
    });
    screen.table(
        &["tuple", "ends", "purpose", "written", "by"],
        rows.collect(),
        "There is no such tuple.",
    )
}

async fn left_over(client: &AdminClient, screen: Screen) -> Outcome<()> {
    let page: Page<LeftOverView> = client.get(&at("left-over")).await?;
    if screen.is_json() {
        return screen.json(&page);
    }
    let rows = page.items.into_iter();
    let rows = rows.map(|left| vec![left.like, left.tuples.to_string(), left.why]);
    screen.table(
        &["like", "tuples", "why they count for nothing"],
        rows.collect(),
        "Every tuple fits the model.",
    )
}

async fn check(
    question: CheckRelation,
    at_least: Option<String>,
    client: &AdminClient,
    screen: Screen,
) -> Outcome<()> {
    let CheckRelation {
        subject,
        relation,
        object,
    } = question.clone();
    let body = CheckRelations {
        checks: vec![question],
        at_least,
    };
    let found: CheckedRelations = client.post(&at("check"), &body).await?;
    if screen.is_json() {
        screen.json(&found)?;
    }
    let Some(answer) = found.items.first() else {
        return Err(Failure::new("The answer is not one of this API."));
    };
    if !answer.allowed {
        let no = match &answer.undecided {
            Some(why) => {
                format!("It can not be told whether {subject} has {relation} to {object}: {why}.")
            }
            None => format!("No: {subject} has no {relation} to {object}."),
        };
        return Err(Failure::new(no));
    }
    if screen.is_json() {
        return Ok(());
    }
    screen.line(&format!("yes: {subject} has {relation} to {object}"))?;
    let mut steps = answer.path.iter();
    steps.try_for_each(|step| screen.line(&format!("  {step}")))
}

async fn subjects(body: &ListSubjects, client: &AdminClient, screen: Screen) -> Outcome<()> {
    let found: ListedSubjects = client.post(&at("list-subjects"), body).await?;
    if screen.is_json() {
        return screen.json(&found);
    }
    if found.everyone {
        screen.line(&format!("{}:*", body.r#type))?;
        found
            .except
            .iter()
            .try_for_each(|one| screen.line(&format!("but not {one}")))?;
    } else if found.subjects.is_empty() {
        screen.note("Nobody has it.");
    }
    found.subjects.iter().try_for_each(|one| screen.line(one))
}

/// A tree as indented lines.
fn draw(tree: &TreeView, depth: usize, lines: &mut Vec<String>, screen: Screen) {
    let ends = |until: Option<registry::units::Moment>| {
        until
            .map(|until| format!(", ends {}", seen_from(until.0, screen.now)))
            .unwrap_or_default()
    };
    let indent = |depth: usize| "  ".repeat(depth);
    let again = if tree.again { ", as above" } else { "" };
    lines.push(format!(
        "{}{}#{}{}{again}",
        indent(depth),
        tree.object,
        tree.relation,
        ends(tree.until)
    ));
    for leaf in &tree.subjects {
        match &leaf.members {
            Some(members) => {
                lines.push(format!("{}members:{}", indent(depth + 1), ends(leaf.until)));
                draw(members, depth + 2, lines, screen);
            }
            None => lines.push(format!(
                "{}{}{}",
                indent(depth + 1),
                leaf.subject,
                ends(leaf.until)
            )),
        }
    }
    let mut branch = |word: &str, branch: &BranchView| {
        lines.push(format!("{}{word} {}:", indent(depth + 1), branch.term));
        for tree in &branch.trees {
            draw(tree, depth + 2, lines, screen);
        }
    };
    tree.any_of.iter().for_each(|one| branch("or", one));
    tree.all_of.iter().for_each(|one| branch("and", one));
    tree.but_not.iter().for_each(|one| branch("but not", one));
}
