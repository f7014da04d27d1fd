//! `apply`, `diff`, `export`: what is declared, from files and back to files. The server plans; what
//! was planned is shown before anything is changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;
use web::admin::view::{Apply, ChangeAction, Export, FieldChange, Plan};

use super::client::AdminClient;
use super::failure::{Failure, Outcome};
use super::input;
use super::screen::{Screen, counted};

/// Most places that differ which are shown of one document.
const MOST_FIELDS: usize = 40;

/// Which documents.
#[derive(Debug, Clone, Args)]
pub(crate) struct Files {
    /// A YAML file, or a folder of them; may be repeated
    #[arg(short = 'f', long = "file", value_name = "PATH", required = true)]
    files: Vec<PathBuf>,
    /// Also remove what no document declares (never what the settings file declares)
    #[arg(long)]
    prune: bool,
}

/// `apply`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    files: Files,
    /// Don't ask
    #[arg(long)]
    yes: bool,
    /// Only show what would be done
    #[arg(long)]
    dry_run: bool,
}

/// `diff`.
#[derive(Debug, Clone, Args)]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    files: Files,
    /// Exit with 1 if anything differs
    #[arg(long)]
    exit_code: bool,
}

/// `export`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ExportArgs {
    /// Folder for one file per document; `-`: all to standard output
    #[arg(short = 'o', long = "out", value_name = "DIR", default_value = "-")]
    out: PathBuf,
    /// Also the metadata of API keys (never a secret)
    #[arg(long)]
    keys: bool,
}

/// Applies documents, after showing the plan.
pub(crate) async fn apply(args: ApplyArgs, client: &AdminClient, screen: Screen) -> Outcome<()> {
    let documents = read(&args.files.files)?;
    let prune = args.files.prune;
    let plan = send(client, documents.clone(), prune, true).await?;
    if args.dry_run || !plan.refused.is_empty() || plan.changes.is_empty() {
        show(&plan, screen)?;
        return can_be(&plan);
    }
    if !args.yes {
        // The plan goes where the question goes, so that JSON stays one value.
        screen.note(&in_words(&plan));
        if !input::confirmed("Do this?") {
            return Err(
                Failure::new("Nothing was changed.").next("say yes when asked, or give --yes")
            );
        }
    }
    show(&send(client, documents, prune, false).await?, screen)
}

/// Shows what applying would change.
pub(crate) async fn diff(args: DiffArgs, client: &AdminClient, screen: Screen) -> Outcome<()> {
    let plan = send(client, read(&args.files.files)?, args.files.prune, true).await?;
    show(&plan, screen)?;
    can_be(&plan)?;
    if args.exit_code && !plan.changes.is_empty() {
        return Err(Failure::new("What is declared differs from the documents."));
    }
    Ok(())
}

/// Writes what is declared as documents.
pub(crate) async fn export(args: ExportArgs, client: &AdminClient, screen: Screen) -> Outcome<()> {
    let export: Export = client
        .get(if args.keys {
            "/v1/export?keys=true"
        } else {
            "/v1/export"
        })
        .await?;
    if args.out == Path::new("-") {
        if screen.is_json() {
            return screen.json(&export);
        }
        let texts = export
            .documents
            .iter()
            .map(yaml)
            .collect::<Outcome<Vec<_>>>()?;
        return screen.exactly(texts.join("\n---\n").as_str());
    }
    let failed = |path: &Path, error: std::io::Error| {
        Failure::new(format!("{} can not be written: {error}.", path.display()))
    };
    std::fs::create_dir_all(&args.out).map_err(|error| failed(&args.out, error))?;
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for document in &export.documents {
        files.insert(file_name(document)?, yaml(document)? + "\n");
    }
    let many = files.len();
    for (name, text) in files {
        let path = args.out.join(name);
        std::fs::write(&path, text).map_err(|error| failed(&path, error))?;
    }
    let are = if many == 1 { "is" } else { "are" };
    screen.note(&format!(
        "{} {are} written to {}.",
        counted(many, "document"),
        args.out.display()
    ));
    Ok(())
}

pub(super) fn read(paths: &[PathBuf]) -> Outcome<Vec<Value>> {
    let documents = crate::settings::read_documents(paths, &|name| std::env::var(name).ok())
        .map_err(|flaws| Failure::new(flaws.to_string().trim_end()))?;
    if documents.is_empty() {
        return Err(Failure::usage("The files hold no document."));
    }
    Ok(documents
        .iter()
        .map(registry::document::Document::to_value)
        .collect())
}

async fn send(
    client: &AdminClient,
    documents: Vec<Value>,
    prune: bool,
    dry_run: bool,
) -> Outcome<Plan> {
    client
        .post(
            "/v1/apply",
            &Apply {
                documents,
                prune,
                dry_run,
            },
        )
        .await
}

fn can_be(plan: &Plan) -> Outcome<()> {
    match plan.refused.len() {
        0 => Ok(()),
        many => Err(Failure::new(format!(
            "Nothing was changed: {many} of the changes can not be."
        ))),
    }
}

fn show(plan: &Plan, screen: Screen) -> Outcome<()> {
    if screen.is_json() {
        return screen.json(plan);
    }
    screen.line(&in_words(plan))
}

fn in_words(plan: &Plan) -> String {
    let mut lines = Vec::new();
    for change in &plan.changes {
        let sign = match change.action {
            ChangeAction::Create => '+',
            ChangeAction::Update => '~',
            ChangeAction::Delete => '-',
        };
        lines.push(format!("{sign} {} {}", change.kind, change.name));
        for field in change.fields.iter().take(MOST_FIELDS) {
            lines.push(format!("    {}: {}", field.path, difference(field)));
        }
        if change.fields.len() > MOST_FIELDS {
            lines.push(format!(
                "    … and {} more places",
                change.fields.len() - MOST_FIELDS
            ));
        }
    }
    for refused in &plan.refused {
        lines.push(format!(
            "! {} {}: {}",
            refused.kind, refused.name, refused.reason
        ));
    }
    let count = |action| {
        plan.changes
            .iter()
            .filter(|change| change.action == action)
            .count()
    };
    let counts = format!(
        "{} to make, {} to change, {} to remove, {} as declared",
        count(ChangeAction::Create),
        count(ChangeAction::Update),
        count(ChangeAction::Delete),
        plan.unchanged
    );
    lines.push(if plan.changes.is_empty() && plan.refused.is_empty() {
        format!("Nothing to do: {} as declared.", plan.unchanged)
    } else if plan.applied {
        format!("Done: {counts}.")
            .replace("to make", "made")
            .replace("to change", "changed")
            .replace("to remove", "removed")
    } else {
        format!("Plan: {counts}.")
    });
    lines.join("\n")
}

fn difference(field: &FieldChange) -> String {
    match (&field.before, &field.after) {
        (Some(before), Some(after)) => format!("{before} → {after}"),
        (None, Some(after)) => format!("{after} (new)"),
        (Some(before), None) => format!("{before} → nothing"),
        (None, None) => String::new(),
    }
}

/// `api-orders.yaml`.
fn file_name(document: &Value) -> Outcome<String> {
    let text = |pointer: &str| {
        document
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let name = super::resource::segment(text("/metadata/name"))?;
    let kind = super::resource::segment(text("/kind"))?.to_ascii_lowercase();
    Ok(format!("{kind}-{name}.yaml"))
}

/// A value as YAML.
pub(crate) fn yaml(value: &Value) -> Outcome<String> {
    serde_saphyr::to_string(value)
        .map(|text| text.trim_end().to_owned())
        .map_err(|error| Failure::new(format!("The answer can not be written as YAML: {error}.")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use web::admin::view::PlannedChange;

    use super::*;

    #[test]
    fn a_plan_reads_as_signs_names_and_places() {
        let change = |action, name: &str, fields| PlannedChange {
            action,
            kind: "Api".to_owned(),
            name: name.to_owned(),
            fields,
        };
        let field = |path: &str, before, after| FieldChange {
            path: path.to_owned(),
            before,
            after,
        };
        let mut plan = Plan {
            applied: false,
            changes: vec![
                change(ChangeAction::Create, "stock", vec![]),
                change(
                    ChangeAction::Update,
                    "orders",
                    vec![
                        field("spec.token_lifetime", Some(json!("10m")), Some(json!("5m"))),
                        field("spec.cors", Some(json!({})), None),
                        field("spec.routes[1]", None, Some(json!({"path": "/x"}))),
                    ],
                ),
                change(ChangeAction::Delete, "old", vec![]),
            ],
            unchanged: 2,
            refused: vec![],
        };
        assert_eq!(
            in_words(&plan),
            "+ Api stock\n~ Api orders\n    spec.token_lifetime: \"10m\" → \"5m\"\n    spec.cors: {} → nothing\n    \
             spec.routes[1]: {\"path\":\"/x\"} (new)\n- Api old\n\
             Plan: 1 to make, 1 to change, 1 to remove, 2 as declared."
        );
        plan.applied = true;
        assert!(in_words(&plan).ends_with("Done: 1 made, 1 changed, 1 removed, 2 as declared."));
        plan.changes.clear();
        assert_eq!(in_words(&plan), "Nothing to do: 2 as declared.");
    }

    #[test]
    fn what_is_exported_as_yaml_reads_back_the_same() {
        let document = json!({
            "apiVersion": "doorward/v1",
            "kind": "Api",
            "metadata": {"name": "orders"},
            "spec": {
                "tricky": ["no", "on", "null", "1", "1.0", "1_000", "0x1f", "10m", "", " blank ", "a: b", "# c", "{", "*", "~",
                           "two\nlines", "tail\n", "\u{e9}", "'q'", "\"", "- x", "$$x", "2026-01-01", "=", "!t", "&a", "%", "@", "`"],
                "empty": {}, "none": [], "number": 1, "truth": true, "path": "/orders/{id}"
            }
        });
        let text = yaml(&document).unwrap();
        let back: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(back, document, "{text}");
    }

    #[test]
    fn a_document_can_not_choose_another_folder() {
        let document = json!({"kind": "Api", "metadata": {"name": "../x"}});
        assert!(file_name(&document).is_err());
        let document = json!({"kind": "TrustedIssuer", "metadata": {"name": "entra"}});
        assert_eq!(file_name(&document).unwrap(), "trustedissuer-entra.yaml");
    }
}
