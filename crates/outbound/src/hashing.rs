//! **The hashing pool**: slow hashes on a few threads of their own.
//!
//! One Argon2id hash takes a core for many milliseconds. On the runtime's threads a handful of
//! garbage passwords would stop every other call; so they run here, on fewer threads than there
//! are cores, behind a bounded queue. When the queue is full the answer is [`Busy`] at once:
//! refusing a newcomer costs nothing, and whoever is cached does not come here at all. Work whose
//! caller has gone away is skipped.

use core::fmt;
use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

/// The queue is full, or the pool is going down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the hashing pool is busy")]
pub struct Busy;

/// Threads that hash. Dropping the pool lets the hash under way finish and forgets the rest.
pub struct HashingPool {
    shared: Arc<Shared>,
    threads: usize,
}

struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
}

struct Queue {
    waiting: VecDeque<Box<dyn FnOnce() + Send>>,
    capacity: usize,
    closed: bool,
}

impl fmt::Debug for HashingPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashingPool")
            .field("threads", &self.threads)
            .field("waiting", &self.waiting())
            .finish()
    }
}

impl HashingPool {
    /// One thread per core but one (at least one), and 64 waiting hashes for each.
    ///
    /// # Errors
    /// If the operating system gives no thread.
    pub fn for_this_machine() -> std::io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = NonZeroUsize::new(cores - 1).unwrap_or(NonZeroUsize::MIN);
        Self::new(threads, threads.get() * 64)
    }

    /// A pool of `threads` threads with at most `waiting` hashes in its queue.
    ///
    /// # Errors
    /// If the operating system gives no thread.
    pub fn new(threads: NonZeroUsize, waiting: usize) -> std::io::Result<Self> {
        let queue = Queue {
            waiting: VecDeque::new(),
            capacity: waiting.max(1),
            closed: false,
        };
        let shared = Arc::new(Shared {
            queue: Mutex::new(queue),
            filled: Condvar::new(),
        });
        let pool = Self {
            shared: Arc::clone(&shared),
            threads: threads.get(),
        };
        for n in 0..threads.get() {
            let shared = Arc::clone(&shared);
            thread::Builder::new()
                .name(format!("hashing-{n}"))
                .spawn(move || shared.work())?;
        }
        Ok(pool)
    }

    /// Runs `work` on the pool. If the returned future is dropped first, work that has not begun
    /// is skipped.
    ///
    /// # Errors
    /// [`Busy`] at once if the queue is full; also if `work` panics.
    pub async fn run<T, F>(&self, work: F) -> Result<T, Busy>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        self.shared.push(Box::new(move || {
            if !answer.is_closed() {
                // The receiver may have gone away meanwhile: then nobody wants the result.
                let _unwanted = answer.send(work());
            }
        }))?;
        answered.await.map_err(|_| Busy)
    }

    /// How many hashes wait, for metrics.
    pub fn waiting(&self) -> usize {
        self.shared.queue.lock().waiting.len()
    }

    /// How many threads hash.
    pub fn threads(&self) -> usize {
        self.threads
    }
}

impl Drop for HashingPool {
    fn drop(&mut self) {
        let mut queue = self.shared.queue.lock();
        queue.closed = true;
        queue.waiting.clear();
        self.shared.filled.notify_all();
    }
}

impl Shared {
    fn push(&self, work: Box<dyn FnOnce() + Send>) -> Result<(), Busy> {
        let mut queue = self.queue.lock();
        if queue.closed || queue.waiting.len() >= queue.capacity {
            return Err(Busy);
        }
        queue.waiting.push_back(work);
        self.filled.notify_one();
        Ok(())
    }

    fn work(&self) {
        while let Some(work) = self.next() {
            // A panic ends the one hash, whose caller learns it by the dropped channel.
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                tracing::error!("a hash panicked");
            }
        }
    }

    fn next(&self) -> Option<Box<dyn FnOnce() + Send>> {
        let mut queue = self.queue.lock();
        loop {
            if let Some(work) = queue.waiting.pop_front() {
                return Some(work);
            }
            if queue.closed {
                return None;
            }
            self.filled.wait(&mut queue);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    const ONE: NonZeroUsize = NonZeroUsize::MIN;

    #[tokio::test]
    async fn work_runs_on_a_thread_of_the_pool_and_its_result_comes_back() {
        let pool = HashingPool::new(ONE, 4).unwrap();
        let name = pool
            .run(|| thread::current().name().map(str::to_owned))
            .await;
        assert_eq!(name, Ok(Some("hashing-0".to_owned())));
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_recovers() {
        let pool = Arc::new(HashingPool::new(ONE, 2).unwrap());
        let (release, hold) = mpsc::channel::<()>();
        let (started, starts) = oneshot::channel();
        let blocked = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move {
                pool.run(move || {
                    started.send(()).unwrap();
                    hold.recv().unwrap();
                })
                .await
            }
        });
        starts.await.unwrap();
        let queued: Vec<_> = (0..2)
            .map(|n| {
                let pool = Arc::clone(&pool);
                tokio::spawn(async move { pool.run(move || n).await })
            })
            .collect();
        while pool.waiting() < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.run(|| 3).await, Err(Busy));
        release.send(()).unwrap();
        assert_eq!(blocked.await.unwrap(), Ok(()));
        for (n, queued) in queued.into_iter().enumerate() {
            assert_eq!(queued.await.unwrap(), Ok(n));
        }
        assert_eq!(pool.run(|| 4).await, Ok(4));
    }

    #[tokio::test]
    async fn a_panic_ends_one_hash_and_not_the_pool() {
        let pool = HashingPool::new(ONE, 2).unwrap();
        assert_eq!(pool.run(|| -> u8 { panic!("on purpose") }).await, Err(Busy));
        assert_eq!(pool.run(|| 7).await, Ok(7));
    }

    #[tokio::test]
    async fn work_of_callers_who_left_is_skipped() {
        let pool = HashingPool::new(ONE, 8).unwrap();
        let (release, hold) = mpsc::channel::<()>();
        let ran = Arc::new(AtomicUsize::new(0));
        let mut first = Box::pin(pool.run(move || hold.recv().is_ok()));
        let mut second = Box::pin(pool.run({
            let ran = Arc::clone(&ran);
            move || ran.fetch_add(1, Ordering::SeqCst)
        }));
        // Both are queued by their first poll.
        let pending = core::future::poll_fn(|cx| {
            let first = first.as_mut().poll(cx).is_pending();
            core::task::Poll::Ready(first && second.as_mut().poll(cx).is_pending())
        });
        assert!(pending.await);
        drop(second);
        release.send(()).unwrap();
        assert_eq!(first.await, Ok(true));
        assert_eq!(pool.run(|| ()).await, Ok(()));
        assert_eq!(ran.load(Ordering::SeqCst), 0);
    }
}
