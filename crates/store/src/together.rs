//! **Writes that come at once share a commit.** A commit waits for the disk; whoever comes
//! meanwhile is taken in with the next one, a statement for all of them instead of one for each.
//! Each is decided on its own all the same. A write goes on when its caller goes away, as one whose
//! answer is lost: whoever asks again learns what became of it.

use core::future::Future;
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use registry::ports::{StoreError, Stores};
use tokio::sync::oneshot;

use crate::Store;

/// At most so many in one commit; a power of two, as every batch, so that few statements differ.
const AT_ONCE: usize = 64;
/// At most so many wait.
const WAITING: usize = 4_096;

/// A write that is made together with others of its kind.
pub(crate) trait Shared: Send + Sync + Sized + 'static {
    /// What becomes of one.
    type Answer: Send + 'static;
    /// What the store says where too many wait.
    const BUSY: &'static str;

    /// What it touches: a statement can't touch a row twice, so no two in a batch are alike.
    fn touches(&self) -> (&str, &str);

    /// Makes all of them in one commit; an answer for each, in their order.
    fn together(
        store: &Store,
        batch: &[Self],
    ) -> impl Future<Output = Stores<Vec<Self::Answer>>> + Send;
}

struct Waiting<W: Shared> {
    realm: &'static str,
    write: W,
    answer: oneshot::Sender<Stores<W::Answer>>,
}

/// Those that wait, and whether somebody works.
struct Queue<W: Shared> {
    waiting: VecDeque<Waiting<W>>,
    working: bool,
}

/// The writes of one kind; clones share them.
pub(crate) struct Together<W: Shared>(Arc<Mutex<Queue<W>>>);

impl<W: Shared> Clone for Together<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<W: Shared> Default for Together<W> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Queue {
            waiting: VecDeque::new(),
            working: false,
        })))
    }
}

impl<W: Shared> Together<W> {
    /// Makes one write, with whatever others come at the same time.
    pub(crate) async fn make(&self, store: &Store, write: W) -> Stores<W::Answer> {
        let (answer, answered) = oneshot::channel();
        let begins = {
            let mut queue = self.queue();
            if queue.waiting.len() >= WAITING {
                return Err(busy::<W>());
            }
            queue.waiting.push_back(Waiting {
                realm: store.realm,
                write,
                answer,
            });
            !core::mem::replace(&mut queue.working, true)
        };
        if begins {
            tokio::spawn(work(self.clone(), store.clone()));
        }
        // Without an answer the worker came to its end: nothing was written, or nobody knows.
        answered.await.unwrap_or_else(|_| Err(busy::<W>()))
    }

    fn queue(&self) -> MutexGuard<'_, Queue<W>> {
        // Nothing is done under it that could panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next batch: of one realm, nothing touched twice. `None`: nobody waits, and nobody works
    /// any more.
    fn next(&self) -> Option<Vec<Waiting<W>>> {
        let mut queue = self.queue();
        let Some(first) = queue.waiting.front() else {
            queue.working = false;
            return None;
        };
        let realm = first.realm;
        let mut touched = HashSet::new();
        let fitting = queue
            .waiting
            .iter()
            .take(AT_ONCE)
            .take_while(|next| next.realm == realm && touched.insert(next.write.touches()))
            .count();
        // The first one fits always, so this is at least one.
        let count = 1_usize << fitting.max(1).ilog2();
        Some(queue.waiting.drain(..count).collect())
    }
}

fn busy<W: Shared>() -> StoreError {
    StoreError::Unavailable(W::BUSY.into())
}

/// Works until nobody waits.
async fn work<W: Shared>(queue: Together<W>, store: Store) {
    let mut working = Working(queue, true);
    while let Some(batch) = working.0.next() {
        let Some(first) = batch.first() else { continue };
        let store = Store {
            realm: first.realm,
            ..store.clone()
        };
        let (writes, answers): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|waiting| (waiting.write, waiting.answer))
            .unzip();
        match W::together(&store, &writes).await {
            Ok(made) => {
                for (answer, made) in answers.into_iter().zip(made) {
                    let _gone = answer.send(Ok(made));
                }
            }
            // A broken row is the business of the one who touches it.
            Err(StoreError::Broken(_)) if writes.len() > 1 => {
                for (answer, write) in answers.into_iter().zip(&writes) {
                    let alone = W::together(&store, core::slice::from_ref(write)).await;
                    let alone = alone.and_then(|mut made| made.pop().ok_or_else(busy::<W>));
                    let _gone = answer.send(alone);
                }
            }
            Err(error) => {
                for answer in answers {
                    let _gone = answer.send(Err(match &error {
                        StoreError::Unavailable(text) => StoreError::Unavailable(text.clone()),
                        StoreError::Broken(text) => StoreError::Broken(text.clone()),
                    }));
                }
            }
        }
    }
    working.1 = false;
}

/// If the worker is torn down in the middle (a runtime that ends), nobody waits for it for ever:
/// whether it is still at work.
struct Working<W: Shared>(Together<W>, bool);

impl<W: Shared> Drop for Working<W> {
    fn drop(&mut self) {
        if self.1 {
            let mut queue = self.0.queue();
            queue.waiting.clear();
            queue.working = false;
        }
    }
}
