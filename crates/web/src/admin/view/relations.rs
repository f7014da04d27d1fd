//! Relations: tuples as they are written and listed, questions about them, and answers.

use registry::relations::StoredTuple;
use registry::units::Moment;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use verdict::policy::relations::{Branch, Leaf, Named, Tree};

/// A tuple to add.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddTuple {
    /// The tuple, `object#relation@subject`.
    #[schema(example = "order:1001#owner@user:ada")]
    pub tuple: String,
    /// When it ends by itself; default never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Moment>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
}

/// Tuples to add and remove together: 1 to 100, all of them or none.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteRelations {
    /// What to add. One that stands already gets this end and purpose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<AddTuple>,
    /// What to remove. One that does not stand is passed over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
    /// What must stand, or nothing is done (409).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub must: Vec<String>,
    /// What must not stand, or nothing is done (409).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub must_not: Vec<String>,
}

/// What came of it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WroteRelations {
    /// How many tuples are new or changed.
    pub added: usize,
    /// How many are gone.
    pub removed: usize,
    /// A consistency token: give it as `at_least` to a check that must know of this write.
    pub at: String,
}

/// A tuple as it stands.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TupleView {
    /// The tuple, `object#relation@subject`.
    pub tuple: String,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Moment>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// When it was written, or changed last.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Moment,
    /// By whom.
    pub created_by: String,
}

impl From<StoredTuple> for TupleView {
    fn from(stored: StoredTuple) -> Self {
        Self {
            tuple: stored.tuple.to_string(),
            until: stored.until.map(Moment),
            purpose: stored.purpose,
            created_at: Moment(stored.created_at),
            created_by: stored.created_by,
        }
    }
}

/// Tuples that count for nothing.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LeftOverView {
    /// How they look.
    pub like: String,
    /// How many there are.
    pub tuples: i64,
    /// Why the model does not take them.
    pub why: String,
}

/// Which tuples to list.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RelationQuery {
    /// Of objects of this type.
    pub r#type: Option<String>,
    /// Of this object, `type:id`.
    pub object: Option<String>,
    /// Of this relation.
    pub relation: Option<String>,
    /// With this subject: `type:id`, `type:*` or `type:id#relation`.
    pub subject: Option<String>,
    /// Read on after this tuple.
    pub after: Option<String>,
    /// At most so many: 1–1000, default 100.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}

/// Whether a subject has a relation to an object.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckRelation {
    /// Who, `type:id`.
    #[schema(example = "user:ada")]
    pub subject: String,
    /// The relation.
    #[schema(example = "viewer")]
    pub relation: String,
    /// To what, `type:id`.
    #[schema(example = "order:1001")]
    pub object: String,
}

/// 1 to 100 questions, judged as calls at this node are.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckRelations {
    /// The questions.
    pub checks: Vec<CheckRelation>,
    /// The `at` of a write that the answers must know of. The node waits up to two seconds for it,
    /// and answers 503 if it has not come by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<String>,
}

/// An answer.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CheckedRelation {
    /// Whether the subject has the relation.
    pub allowed: bool,
    /// The steps that lead to it, from the object to the subject.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<String>,
    /// Why it can't be told, where it can't; `allowed` is false then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undecided: Option<String>,
}

/// The answers in the order of the questions.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CheckedRelations {
    /// The answers.
    pub items: Vec<CheckedRelation>,
}

/// Which objects of a type a subject has a relation to.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListObjects {
    /// Who, `type:id`.
    pub subject: String,
    /// The relation.
    pub relation: String,
    /// The type of the objects.
    pub r#type: String,
}

/// Objects, in order.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ListedObjects {
    /// `type:id` of each.
    pub objects: Vec<String>,
}

/// Which subjects of a type have a relation to an object.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListSubjects {
    /// To what, `type:id`.
    pub object: String,
    /// The relation.
    pub relation: String,
    /// The type of the subjects.
    pub r#type: String,
}

/// Subjects, in order.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ListedSubjects {
    /// `type:id` of each that tuples name.
    pub subjects: Vec<String>,
    /// Whether everybody of the type has the relation, but for `except`.
    #[serde(default)]
    pub everyone: bool,
    /// Those that have it not although everybody else has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
}

/// How a relation to an object comes about.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpandRelation {
    /// The object, `type:id`.
    pub object: String,
    /// The relation.
    pub relation: String,
}

/// A relation to an object, and what it comes from.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TreeView {
    /// The object.
    pub object: String,
    /// The relation.
    pub relation: String,
    /// Until when the tuple stands that names this object, if it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Moment>,
    /// Subjects of its own tuples.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(no_recursion)]
    pub subjects: Vec<LeafView>,
    /// What it follows from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(no_recursion)]
    pub any_of: Vec<BranchView>,
    /// What must hold too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(no_recursion)]
    pub all_of: Vec<BranchView>,
    /// What must not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion)]
    pub but_not: Option<BranchView>,
    /// Whether this stands further up already; then nothing is below it here.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub again: bool,
}

/// A subject in a tuple.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LeafView {
    /// Who.
    pub subject: String,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Moment>,
    /// Who the members are, where it is the members of something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion)]
    pub members: Option<Box<TreeView>>,
}

/// What one term of the model leads to.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BranchView {
    /// The term as the model writes it.
    pub term: String,
    /// What it leads to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(no_recursion)]
    pub trees: Vec<TreeView>,
}

impl From<Tree> for TreeView {
    fn from(tree: Tree) -> Self {
        let branches = |list: Vec<Branch>| list.into_iter().map(BranchView::from).collect();
        Self {
            object: tree.object.to_string(),
            relation: tree.relation.to_string(),
            until: None,
            subjects: tree.subjects.into_iter().map(LeafView::from).collect(),
            any_of: branches(tree.any_of),
            all_of: branches(tree.all_of),
            but_not: tree.but_not.map(BranchView::from),
            again: tree.again,
        }
    }
}

impl From<Leaf> for LeafView {
    fn from(leaf: Leaf) -> Self {
        Self {
            subject: leaf.subject.to_string(),
            until: leaf.grant.until.map(Moment),
            members: leaf.members.map(|tree| Box::new(TreeView::from(*tree))),
        }
    }
}

impl From<Branch> for BranchView {
    fn from(branch: Branch) -> Self {
        let view = |Named { until, tree }: Named| TreeView {
            until: until.map(Moment),
            ..TreeView::from(tree)
        };
        Self {
            term: branch.term,
            trees: branch.trees.into_iter().map(view).collect(),
        }
    }
}
