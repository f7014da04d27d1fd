//! **Tuples**: who has what to do with which object. A write is a batch in one transaction, and each
//! pair of object and relation that it touches is a change of its own, so that nodes forget what was
//! touched and nothing else. Reading leaves out nothing because of its time: that is judged by
//! whoever uses it.

use std::collections::{BTreeMap, BTreeSet};

use proof::time::Timestamp;
use registry::ports::{ChangeSubject, Stores};
use registry::relations::{
    Batch, Done, Relations, StoredTuple, Token, TupleFilter, TupleKind, Wrote,
};
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AssertSqlSafe};
use verdict::facts::Answer;
use verdict::policy::relations::{
    Extent, Grant, Listing, MOST_SETS, Object, Related, Standing, Subject, Tuple, WHOLE,
};

use crate::Store;
use crate::error::{broken, failed};
use crate::outbox::Transition;
use crate::records::answer;
use crate::row::{Columns as _, millis, placeholders};

/// At most so many rows go in one statement, so that other writers get their turn.
const SWEPT_AT_ONCE: i64 = 5_000;
/// At most so many such statements in one sweep.
const SWEEPS: usize = 50;

type Asked<'q> = Query<'q, Any, AnyArguments>;

/// The six columns that a tuple is.
macro_rules! tuple_columns {
    () => {
        "object_type, object_id, relation, subject_type, subject_id, subject_relation"
    };
}

fn read_object(row: &AnyRow) -> Stores<Object> {
    let (kind, id) = (row.text("object_type")?, row.text("object_id")?);
    Object::new(&kind, &id).map_err(|bad| broken(format!("a tuple's object: {bad}")))
}

fn read_subject(row: &AnyRow) -> Stores<Subject> {
    let relation = row.text("subject_relation")?;
    let relation = (!relation.is_empty()).then_some(relation.as_str());
    let (kind, id) = (row.text("subject_type")?, row.text("subject_id")?);
    Subject::from_parts(&kind, &id, relation)
        .map_err(|bad| broken(format!("a tuple's subject: {bad}")))
}

fn read_tuple(row: &AnyRow) -> Stores<Tuple> {
    Ok(Tuple {
        object: read_object(row)?,
        relation: row.text("relation")?.into(),
        subject: read_subject(row)?,
    })
}

fn read_grant(row: &AnyRow) -> Stores<Grant> {
    Ok(Grant {
        until: row.time_or_null("until_ms")?,
    })
}

fn read_standing(row: &AnyRow) -> Stores<Standing> {
    Ok(Standing {
        subject: read_subject(row)?,
        grant: read_grant(row)?,
    })
}

fn bind_subject<'q>(query: Asked<'q>, subject: &'q Subject) -> Asked<'q> {
    query
        .bind(subject.kind())
        .bind(subject.id())
        .bind(subject.relation().unwrap_or_default())
}

fn bind_tuple<'q>(query: Asked<'q>, tuple: &'q Tuple) -> Asked<'q> {
    let query = query
        .bind(tuple.object.kind())
        .bind(tuple.object.id())
        .bind(&*tuple.relation);
    bind_subject(query, &tuple.subject)
}

/// Which of these stand, with their ends and purposes.
async fn standing<'t>(
    connection: &mut AnyConnection,
    realm: &str,
    tuples: impl Iterator<Item = &'t Tuple>,
) -> Stores<BTreeMap<Tuple, (Grant, Option<String>)>> {
    let tuples: BTreeSet<&Tuple> = tuples.collect();
    if tuples.is_empty() {
        return Ok(BTreeMap::new());
    }
    // Safe: the text grows by placeholders only.
    let text = format!(
        concat!(
            "SELECT ",
            tuple_columns!(),
            ", until_ms, purpose FROM relations WHERE realm_id = $1 AND (",
            tuple_columns!(),
            ") IN (VALUES {})"
        ),
        placeholders(2, tuples.len(), 6)
    );
    let mut query = sqlx::query(AssertSqlSafe(text))
        .persistent(tuples.len().is_power_of_two())
        .bind(realm);
    for tuple in &tuples {
        query = bind_tuple(query, tuple);
    }
    query
        .fetch_all(connection)
        .await
        .map_err(failed)?
        .iter()
        .map(|row| {
            Ok((
                read_tuple(row)?,
                (read_grant(row)?, row.text_or_null("purpose")?),
            ))
        })
        .collect()
}

async fn write(store: &Store, batch: Batch) -> Stores<Wrote> {
    let mut write = Transition::open(store).await?;
    // What is read from here on stays so until the commit.
    write.lock().await?;
    let realm = write.realm();
    let expected = batch.must.iter().chain(&batch.must_not);
    let added = batch.add.iter().map(|(new, _)| &new.tuple);
    let removed = batch.remove.iter().map(|(tuple, _)| tuple);
    let before = standing(
        write.connection(),
        realm,
        expected.chain(added).chain(removed),
    )
    .await?;
    let stands = |tuple: &Tuple| {
        before
            .get(tuple)
            .is_some_and(|(grant, _)| grant.holds(batch.at))
    };
    let missing = batch.must.iter().find(|tuple| !stands(tuple));
    let surplus = batch.must_not.iter().find(|tuple| stands(tuple));
    if let Some(tuple) = missing.or(surplus) {
        return Ok(Wrote::Unexpected {
            stands: missing.is_none(),
            tuple: tuple.clone(),
        });
    }
    let same = |one: &registry::relations::NewTuple| {
        before
            .get(&one.tuple)
            .is_some_and(|(grant, purpose)| grant.until == one.until && *purpose == one.purpose)
    };
    let add: Vec<_> = batch.add.iter().filter(|(new, _)| !same(new)).collect();
    let remove: Vec<_> = batch
        .remove
        .iter()
        .filter(|(tuple, _)| before.contains_key(tuple))
        .collect();
    if add.is_empty() && remove.is_empty() {
        let newest = sqlx::query("SELECT changes FROM counters WHERE realm_id = $1")
            .bind(realm)
            .fetch_one(write.connection())
            .await
            .map_err(failed)?
            .number("changes")?;
        return Ok(Wrote::Done(Done {
            added: 0,
            removed: 0,
            at: Token(newest),
        }));
    }
    let tuples = add.iter().map(|(new, _)| &new.tuple);
    let tuples = tuples.chain(remove.iter().map(|(tuple, _)| tuple));
    let touched: BTreeSet<(&str, &str)> = tuples
        .map(|tuple| (tuple.object.as_str(), &*tuple.relation))
        .collect();
    let count = |of: usize| i64::try_from(of).map_err(|_| broken("a batch beyond all bounds"));
    let last = write
        .number(count(touched.len())?, count(add.len() + remove.len())?)
        .await?;
    if !add.is_empty() {
        // Safe: the text grows by placeholders only.
        let text = format!(
            concat!(
                "INSERT INTO relations (realm_id, ",
                tuple_columns!(),
                ", until_ms, purpose, created_at, created_by) VALUES {} ON CONFLICT (realm_id, ",
                tuple_columns!(),
                ") DO UPDATE SET until_ms = excluded.until_ms, purpose = excluded.purpose, \
                 created_at = excluded.created_at, created_by = excluded.created_by"
            ),
            placeholders(1, add.len(), 11)
        );
        let mut query = sqlx::query(AssertSqlSafe(text)).persistent(add.len().is_power_of_two());
        for (new, _) in &add {
            query = bind_tuple(query.bind(realm), &new.tuple)
                .bind(millis(new.until))
                .bind(new.purpose.as_deref())
                .bind(batch.at.as_millis())
                .bind(&batch.by);
        }
        query.execute(write.connection()).await.map_err(failed)?;
    }
    if !remove.is_empty() {
        // Safe: the text grows by placeholders only.
        let text = format!(
            concat!(
                "DELETE FROM relations WHERE realm_id = $1 AND (",
                tuple_columns!(),
                ") IN (VALUES {})"
            ),
            placeholders(2, remove.len(), 6)
        );
        let mut query = sqlx::query(AssertSqlSafe(text))
            .persistent(remove.len().is_power_of_two())
            .bind(realm);
        for (tuple, _) in &remove {
            query = bind_tuple(query, tuple);
        }
        query.execute(write.connection()).await.map_err(failed)?;
    }
    for (object, relation) in touched {
        let subject = ChangeSubject::Relation(object.to_owned(), relation.to_owned());
        write.announce(&subject).await?;
    }
    let events = add.iter().map(|(_, event)| event);
    let events: Vec<_> = events
        .chain(remove.iter().map(|(_, event)| event))
        .collect();
    write.audit_all(&events).await?;
    let done = Done {
        added: add.len(),
        removed: remove.len(),
        at: Token(last),
    };
    write.commit().await?;
    Ok(Wrote::Done(done))
}

/// Who stands in the tuples of a relation to an object: all, if they are few; else those whose
/// subject is not a single one.
pub(crate) async fn related(store: &Store, object: &Object, relation: &str) -> Stores<Related> {
    let all = sqlx::query(
        "SELECT subject_type, subject_id, subject_relation, until_ms FROM relations \
         WHERE realm_id = $1 AND object_type = $2 AND object_id = $3 AND relation = $4 LIMIT $5",
    )
    .bind(store.realm)
    .bind(object.kind())
    .bind(object.id())
    .bind(relation)
    .bind(limit(WHOLE))
    .fetch_all(&store.reading)
    .await
    .map_err(failed)?;
    if all.len() <= WHOLE {
        let standing = all.iter().map(read_standing).collect::<Stores<_>>()?;
        return Ok(Related::new(standing, Extent::Whole));
    }
    let sets = sqlx::query(
        "SELECT subject_type, subject_id, subject_relation, until_ms FROM relations \
         WHERE realm_id = $1 AND object_type = $2 AND object_id = $3 AND relation = $4 \
         AND (subject_relation <> '' OR subject_id = '*') LIMIT $5",
    )
    .bind(store.realm)
    .bind(object.kind())
    .bind(object.id())
    .bind(relation)
    .bind(limit(MOST_SETS))
    .fetch_all(&store.reading)
    .await
    .map_err(failed)?;
    let extent = if sets.len() <= MOST_SETS {
        Extent::Sets
    } else {
        Extent::TooMany
    };
    let standing = sets.iter().map(read_standing).collect::<Stores<_>>()?;
    Ok(Related::new(standing, extent))
}

/// One more than there may be, so that it shows if there are more.
fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX - 1) + 1
}

/// The tuple of one subject.
pub(crate) async fn grant(
    store: &Store,
    object: &Object,
    relation: &str,
    subject: &Subject,
) -> Stores<Option<Grant>> {
    let query = sqlx::query(
        "SELECT until_ms FROM relations WHERE realm_id = $1 AND object_type = $2 \
         AND object_id = $3 AND relation = $4 AND subject_type = $5 AND subject_id = $6 \
         AND subject_relation = $7",
    )
    .bind(store.realm)
    .bind(object.kind())
    .bind(object.id())
    .bind(relation);
    bind_subject(query, subject)
        .fetch_optional(&store.reading)
        .await
        .map_err(failed)?
        .as_ref()
        .map(read_grant)
        .transpose()
}

async fn of_object(
    store: &Store,
    object: &Object,
    relation: &str,
    after: Option<&Subject>,
    limit: u32,
) -> Stores<Vec<Standing>> {
    let mut text = String::from(
        "SELECT subject_type, subject_id, subject_relation, until_ms FROM relations \
         WHERE realm_id = $1 AND object_type = $2 AND object_id = $3 AND relation = $4",
    );
    if after.is_some() {
        text.push_str(" AND (subject_type, subject_id, subject_relation) > ($6, $7, $8)");
    }
    text.push_str(" ORDER BY subject_type, subject_id, subject_relation LIMIT $5");
    let mut query = sqlx::query(AssertSqlSafe(text))
        .bind(store.realm)
        .bind(object.kind())
        .bind(object.id())
        .bind(relation)
        .bind(i64::from(limit));
    if let Some(after) = after {
        query = bind_subject(query, after);
    }
    let rows = query.fetch_all(&store.reading).await.map_err(failed)?;
    rows.iter().map(read_standing).collect()
}

async fn of_subject(
    store: &Store,
    subject: &Subject,
    after: Option<&Tuple>,
    limit: u32,
) -> Stores<Vec<(Tuple, Grant)>> {
    let mut text = String::from(concat!(
        "SELECT ",
        tuple_columns!(),
        ", until_ms FROM relations \
         WHERE realm_id = $1 AND subject_type = $2 AND subject_id = $3 AND subject_relation = $4"
    ));
    if after.is_some() {
        text.push_str(" AND (object_type, object_id, relation) > ($6, $7, $8)");
    }
    text.push_str(" ORDER BY object_type, object_id, relation LIMIT $5");
    let query = sqlx::query(AssertSqlSafe(text)).bind(store.realm);
    let mut query = bind_subject(query, subject).bind(i64::from(limit));
    if let Some(after) = after {
        query = query
            .bind(after.object.kind())
            .bind(after.object.id())
            .bind(&*after.relation);
    }
    let rows = query.fetch_all(&store.reading).await.map_err(failed)?;
    rows.iter()
        .map(|row| Ok((read_tuple(row)?, read_grant(row)?)))
        .collect()
}

async fn list(store: &Store, filter: &TupleFilter) -> Stores<Vec<StoredTuple>> {
    let mut text = String::from(concat!(
        "SELECT ",
        tuple_columns!(),
        ", until_ms, purpose, created_at, created_by FROM relations WHERE realm_id = $1"
    ));
    let mut values: Vec<&str> = Vec::new();
    let mut given = |text: &mut String, column: &str, value| {
        values.push(value);
        text.push_str(&format!(" AND {column} = ${}", values.len() + 2));
    };
    for (column, value) in [
        ("object_type", &filter.object_type),
        ("object_id", &filter.object_id),
        ("relation", &filter.relation),
    ] {
        if let Some(value) = value {
            given(&mut text, column, value);
        }
    }
    if let Some(subject) = &filter.subject {
        given(&mut text, "subject_type", subject.kind());
        given(&mut text, "subject_id", subject.id());
        given(
            &mut text,
            "subject_relation",
            subject.relation().unwrap_or_default(),
        );
    }
    if filter.after.is_some() {
        text.push_str(concat!(" AND (", tuple_columns!(), ") > "));
        text.push_str(&placeholders(values.len() + 3, 1, 6));
    }
    text.push_str(concat!(" ORDER BY ", tuple_columns!(), " LIMIT $2"));
    // Safe: the text grows by names of columns and placeholders only.
    let mut query = sqlx::query(AssertSqlSafe(text))
        .bind(store.realm)
        .bind(i64::from(filter.limit.clamp(1, 1000)));
    for value in values {
        query = query.bind(value);
    }
    if let Some(after) = &filter.after {
        query = bind_tuple(query, after);
    }
    let rows = query.fetch_all(&store.reading).await.map_err(failed)?;
    rows.iter()
        .map(|row| {
            Ok(StoredTuple {
                tuple: read_tuple(row)?,
                until: row.time_or_null("until_ms")?,
                purpose: row.text_or_null("purpose")?,
                created_at: row.time("created_at")?,
                created_by: row.text("created_by")?,
            })
        })
        .collect()
}

async fn kinds(store: &Store) -> Stores<Vec<TupleKind>> {
    let rows = sqlx::query(
        "SELECT object_type, MIN(object_id) AS object_id, relation, subject_type, \
         MIN(subject_id) AS subject_id, subject_relation, CAST(COUNT(*) AS BIGINT) AS tuples \
         FROM relations WHERE realm_id = $1 GROUP BY object_type, relation, subject_type, \
         subject_relation, CASE WHEN subject_id = '*' THEN 1 ELSE 0 END \
         ORDER BY object_type, relation, subject_type, subject_relation",
    )
    .bind(store.realm)
    .fetch_all(&store.reading)
    .await
    .map_err(failed)?;
    rows.iter()
        .map(|row| {
            Ok(TupleKind {
                example: read_tuple(row)?,
                tuples: row.number("tuples")?,
            })
        })
        .collect()
}

/// Removes tuples whose time has passed; how many. Nobody hears of it, since they counted for
/// nothing already.
pub(crate) async fn sweep(store: &Store, now: Timestamp) -> Stores<u64> {
    let mut swept = 0;
    for _ in 0..SWEEPS {
        let gone = sqlx::query(concat!(
            "DELETE FROM relations WHERE realm_id = $1 AND until_ms <= $2 AND (",
            tuple_columns!(),
            ") IN (SELECT ",
            tuple_columns!(),
            " FROM relations WHERE realm_id = $1 AND until_ms <= $2 LIMIT $3)"
        ))
        .bind(store.realm)
        .bind(now.as_millis())
        .bind(SWEPT_AT_ONCE)
        .execute(&store.writing)
        .await
        .map_err(failed)?
        .rows_affected();
        swept += gone;
        if i64::try_from(gone).is_ok_and(|gone| gone < SWEPT_AT_ONCE) {
            break;
        }
    }
    Ok(swept)
}

impl Relations for Store {
    async fn write_relations(&self, batch: Batch) -> Stores<Wrote> {
        write(self, batch).await
    }
    async fn relations(&self, filter: &TupleFilter) -> Stores<Vec<StoredTuple>> {
        list(self, filter).await
    }
    async fn relation_kinds(&self) -> Stores<Vec<TupleKind>> {
        kinds(self).await
    }
}

impl Listing for Store {
    async fn of_object(
        &self,
        object: &Object,
        relation: &str,
        after: Option<&Subject>,
        limit: u32,
    ) -> Answer<Vec<Standing>> {
        answer(of_object(self, object, relation, after, limit)).await
    }
    async fn of_subject(
        &self,
        subject: &Subject,
        after: Option<&Tuple>,
        limit: u32,
    ) -> Answer<Vec<(Tuple, Grant)>> {
        answer(of_subject(self, subject, after, limit)).await
    }
}
