//! **Steady load**: a few callers that call one after the other on kept connections and write down
//! every answer that is not 200.

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use testkit::wire;
use tokio::task::JoinHandle;

/// Callers at work.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
    failures: Arc<Mutex<Vec<String>>>,
    callers: Vec<JoinHandle<()>>,
}

/// What came of it.
pub(super) struct Outcome {
    /// Calls that were answered with 200.
    pub(super) good: u64,
    /// What was wrong with the others.
    pub(super) failures: Vec<String>,
}

impl Load {
    /// Starts so many callers of one path, with a bearer credential.
    pub(super) fn start(callers: usize, address: SocketAddr, path: &str, bearer: &str) -> Self {
        let mut load = Self {
            stop: Arc::default(),
            calls: Arc::default(),
            failures: Arc::default(),
            callers: Vec::new(),
        };
        for _ in 0..callers {
            let (stop, calls, failures) =
                (load.stop.clone(), load.calls.clone(), load.failures.clone());
            let request = Request::get(format!("http://{address}{path}"))
                .header("authorization", format!("Bearer {bearer}"))
                .body(Empty::<Bytes>::new())
                .unwrap();
            load.callers.push(wire::runtime().spawn(async move {
                let client = Client::builder(TokioExecutor::new()).build_http();
                while !stop.load(Ordering::Relaxed) {
                    let called = async {
                        let answer = client.request(request.clone()).await?;
                        let status = answer.status();
                        let body = answer.into_body().collect().await?.to_bytes();
                        anyhow::Ok((status, body))
                    };
                    match called.await {
                        Ok((status, _)) if status == 200 => {
                            calls.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok((status, body)) => failures
                            .lock()
                            .unwrap()
                            .push(format!("{status} {}", String::from_utf8_lossy(&body))),
                        Err(error) => failures.lock().unwrap().push(format!("{error:#}")),
                    }
                    tokio::time::sleep(Duration::from_millis(4)).await;
                }
            }));
        }
        load
    }

    /// Good calls so far.
    pub(super) fn good(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Lets so many more good calls happen.
    pub(super) fn let_pass(&self, calls: u64) {
        let wanted = self.good() + calls;
        super::scene::wait_until("the load goes on", Duration::from_secs(30), || {
            self.good() >= wanted || !self.failures.lock().unwrap().is_empty()
        });
    }

    /// Stops the callers.
    pub(super) fn stop(self) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        for caller in self.callers {
            wire::runtime().block_on(caller).unwrap();
        }
        let failures = std::mem::take(&mut *self.failures.lock().unwrap());
        Outcome {
            good: self.calls.load(Ordering::Relaxed),
            failures,
        }
    }
}
