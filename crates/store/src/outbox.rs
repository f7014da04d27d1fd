//! **One change, one transaction**: what every write of this room goes through.
//!
//! [`Transition::begin`] takes the numbers that the change will need from the realm's counters and
//! thereby the lock on their row, which is held until the commit. So changes of a realm happen one
//! after the other, what was read inside can't change underneath, no two nodes wait for each other
//! crosswise, and numbers have neither gaps (a change that did not come about gives its number
//! back with everything else) nor latecomers. A write that learns only on its way what it changes
//! begins with [`Transition::open`] and takes its numbers then.

use registry::audit::AuditDraft;
use registry::credential::CredentialType;
use registry::ports::{Change, ChangeSubject, StoreError, Stores};
use registry::resource::ResourceKind;
use sqlx::any::AnyRow;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Transaction};

use crate::error::{broken, failed};
use crate::row::{Columns as _, placeholders, to_json};
use crate::{Store, credentials, resources};

/// A write in progress. Dropped without [`Transition::commit`], nothing happened.
pub(crate) struct Transition<'s> {
    store: &'s Store,
    transaction: Transaction<'static, Any>,
    /// Numbers not used yet: the next and the last one.
    changes: (i64, i64),
    events: (i64, i64),
}

impl<'s> Transition<'s> {
    /// Begins a write that will announce `changes` changes and write `events` audit events.
    pub(crate) async fn begin(store: &'s Store, changes: i64, events: i64) -> Stores<Self> {
        let mut write = Self::open(store).await?;
        write.number(changes, events).await?;
        Ok(write)
    }

    /// Begins a write that learns on its way whether it changes anything, and takes its numbers
    /// then. Until it has them it may lock no row that others lock when they have theirs.
    pub(crate) async fn open(store: &'s Store) -> Stores<Self> {
        Ok(Self {
            transaction: store.backend.begin(&store.writing).await.map_err(failed)?,
            store,
            changes: (1, 0),
            events: (1, 0),
        })
    }

    /// Takes numbers for `changes` changes and `events` audit events, and thereby the lock. Those
    /// taken before must be used by then. Returns the number of the last change.
    pub(crate) async fn number(&mut self, changes: i64, events: i64) -> Stores<i64> {
        let row = sqlx::query(
            "UPDATE counters SET changes = changes + $2, audit_events = audit_events + $3 \
             WHERE realm_id = $1 RETURNING changes, audit_events",
        )
        .bind(self.store.realm)
        .bind(changes)
        .bind(events)
        .fetch_optional(&mut *self.transaction)
        .await
        .map_err(failed)?
        .ok_or_else(|| broken("the realm has no counters"))?;
        let (last_change, last_event) = (row.number("changes")?, row.number("audit_events")?);
        // Zero of a kind leaves what was taken of it before.
        if changes > 0 {
            self.changes = (last_change - changes + 1, last_change);
        }
        if events > 0 {
            self.events = (last_event - events + 1, last_event);
        }
        Ok(last_change)
    }

    /// Takes the lock before the numbers, for who does not know yet how many.
    pub(crate) async fn lock(&mut self) -> Stores<()> {
        if self.store.backend.writes_alone() {
            return Ok(());
        }
        self.number(0, 0).await.map(drop)
    }

    /// The realm of the write.
    pub(crate) fn realm(&self) -> &'static str {
        self.store.realm
    }

    /// Where statements run.
    pub(crate) fn connection(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }

    /// Puts a change into the outbox.
    pub(crate) async fn announce(&mut self, subject: &ChangeSubject) -> Stores<()> {
        let number = take(&mut self.changes)?;
        let (word, kind, name, owner) = match subject {
            ChangeSubject::Resource(kind, name) => {
                ("resource", Some(kind.name()), Some(&**name), None)
            }
            ChangeSubject::Credential(kind, id, owner) => {
                ("credential", Some(kind.name()), Some(&**id), Some(&**owner))
            }
            ChangeSubject::Revocation => ("revocation", None, None, None),
            ChangeSubject::SigningKey => ("signing_key", None, None, None),
            ChangeSubject::Relation(object, relation) => {
                ("relation", None, Some(&**object), Some(&**relation))
            }
        };
        sqlx::query(
            "INSERT INTO changes (realm_id, number, subject, kind, name, owner) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(self.store.realm)
        .bind(number)
        .bind(word)
        .bind(kind)
        .bind(name)
        .bind(owner)
        .execute(&mut *self.transaction)
        .await
        .map_err(failed)?;
        Ok(())
    }

    /// Writes the audit event, to be chained later.
    pub(crate) async fn audit(&mut self, event: &AuditDraft) -> Stores<()> {
        self.audit_all(&[event]).await
    }

    /// Writes audit events in one statement; few enough for its values.
    pub(crate) async fn audit_all(&mut self, events: &[&AuditDraft]) -> Stores<()> {
        // Safe: the text grows by placeholders only.
        let text = format!(
            "INSERT INTO audit_events \
             (realm_id, number, id, at, actor, action, subject, request_id, details) VALUES {}",
            placeholders(1, events.len(), 9)
        );
        let mut query = sqlx::query(AssertSqlSafe(text)).persistent(events.len().is_power_of_two());
        for event in events {
            query = query
                .bind(self.store.realm)
                .bind(take(&mut self.events)?)
                .bind(&event.id)
                .bind(event.at.as_millis())
                .bind(&event.actor)
                .bind(event.action)
                .bind(&event.subject)
                .bind(&event.request_id)
                .bind(to_json(&event.details)?);
        }
        query
            .execute(&mut *self.transaction)
            .await
            .map_err(failed)?;
        Ok(())
    }

    /// Makes it so, and wakes whoever watches. If the answer to the commit is lost, the error says
    /// *unavailable* though the change may have happened: whoever tries again finds out.
    pub(crate) async fn commit(self) -> Stores<()> {
        // A number that was taken and not used would be a gap.
        if self.changes.0 <= self.changes.1 || self.events.0 <= self.events.1 {
            return Err(broken("a change did not use all of its numbers"));
        }
        self.transaction.commit().await.map_err(failed)?;
        let newest = self.changes.1;
        self.store.newest.send_if_modified(|seen| {
            let newer = newest > *seen;
            *seen = newest.max(*seen);
            newer
        });
        Ok(())
    }
}

fn take(numbers: &mut (i64, i64)) -> Stores<i64> {
    let number = numbers.0;
    if number > numbers.1 {
        return Err(broken("a change needs more numbers than it took"));
    }
    numbers.0 += 1;
    Ok(number)
}

/// Changes above a number, in order.
pub(crate) async fn changes_after(store: &Store, after: i64, limit: u32) -> Stores<Vec<Change>> {
    sqlx::query(
        "SELECT number, subject, kind, name, owner FROM changes \
         WHERE realm_id = $1 AND number > $2 ORDER BY number LIMIT $3",
    )
    .bind(store.realm)
    .bind(after)
    .bind(i64::from(limit))
    .fetch_all(&store.reading)
    .await
    .map_err(failed)?
    .iter()
    .map(read_change)
    .collect()
}

/// The newest number that was committed.
pub(crate) async fn newest_change(store: &Store) -> Stores<i64> {
    sqlx::query("SELECT changes FROM counters WHERE realm_id = $1")
        .bind(store.realm)
        .fetch_one(&store.reading)
        .await
        .map_err(failed)?
        .number("changes")
}

fn read_change(row: &AnyRow) -> Stores<Change> {
    let column = |name: &str| -> Stores<String> {
        row.text_or_null(name)?
            .ok_or_else(|| broken(format!("a change without {name}")))
    };
    let subject = row.text("subject")?;
    let subject = match &*subject {
        "resource" => {
            ChangeSubject::Resource(row.word("kind", resources::kind_of)?, column("name")?)
        }
        "credential" => ChangeSubject::Credential(
            row.word("kind", credentials::type_of)?,
            column("name")?,
            column("owner")?,
        ),
        "revocation" => ChangeSubject::Revocation,
        "signing_key" => ChangeSubject::SigningKey,
        "relation" => ChangeSubject::Relation(column("name")?, column("owner")?),
        other => return Err(broken(format!("a change of {other:?}"))),
    };
    Ok(Change {
        number: row.number("number")?,
        subject,
    })
}

/// The change of a resource.
pub(crate) fn of_resource(kind: ResourceKind, name: &str) -> ChangeSubject {
    ChangeSubject::Resource(kind, name.to_owned())
}

/// The change of a credential.
pub(crate) fn of_credential(kind: CredentialType, id: &str, owner: &str) -> ChangeSubject {
    ChangeSubject::Credential(kind, id.to_owned(), owner.to_owned())
}

/// A unique value stands already: said in words that name it.
pub(crate) fn taken(error: sqlx::Error, what: &str) -> StoreError {
    match error.as_database_error() {
        Some(database) if database.is_unique_violation() => {
            broken(format!("{what} exists already"))
        }
        _ => failed(error),
    }
}
