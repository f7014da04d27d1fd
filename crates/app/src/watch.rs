//! **Watching files**: notices that settings, includes, secrets or certificates changed.
//!
//! Looks at identity, time and size of each file once a second instead of asking the kernel for
//! events: that costs a few microseconds, and it sees a rename over the file, a swapped symbolic
//! link (as mounted configuration volumes do it) and network file systems alike. A change counts
//! once it held still for a moment, so that a half-written file is not read.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

/// How often files are looked at.
const EVERY: Duration = Duration::from_millis(1000);
/// How long a change must hold still.
const STILL: Duration = Duration::from_millis(150);
/// Most rounds of waiting for stillness before the change counts anyway.
const PATIENCE: usize = 20;

/// What tells one state of a file from another; `None` where it can't be seen.
type Print = Option<(PathBuf, u64, u64, i64, i64, u64)>;

/// A set of files and what they looked like last.
#[derive(Debug)]
pub(crate) struct Watch {
    paths: Vec<PathBuf>,
    seen: Vec<Print>,
}

impl Watch {
    /// Starts from how the files look now.
    pub(crate) fn new(paths: Vec<PathBuf>) -> Self {
        let seen = paths.iter().map(print).collect();
        Self { paths, seen }
    }

    /// Watches other files from now on. Those it watched already keep what was seen of them, so a
    /// change between reading and this call is not missed.
    pub(crate) fn set(&mut self, paths: Vec<PathBuf>) {
        let seen = paths
            .iter()
            .map(
                |path| match self.paths.iter().position(|known| known == path) {
                    Some(at) => self.seen[at].clone(),
                    None => print(path),
                },
            )
            .collect();
        (self.paths, self.seen) = (paths, seen);
    }

    /// Waits until something changed and holds still.
    pub(crate) async fn changed(&mut self) {
        loop {
            tokio::time::sleep(EVERY).await;
            let mut now: Vec<Print> = self.paths.iter().map(print).collect();
            if now == self.seen {
                continue;
            }
            for _ in 0..PATIENCE {
                tokio::time::sleep(STILL).await;
                let later: Vec<Print> = self.paths.iter().map(print).collect();
                let still = later == now;
                now = later;
                if still {
                    break;
                }
            }
            self.seen = now;
            return;
        }
    }
}

fn print(path: &PathBuf) -> Print {
    let real = std::fs::canonicalize(path).ok()?;
    let meta = std::fs::metadata(&real).ok()?;
    Some((
        real,
        meta.dev(),
        meta.ino(),
        meta.mtime(),
        meta.mtime_nsec(),
        meta.size(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn notices(change: impl FnOnce(&std::path::Path)) -> bool {
        let dir = tempfile::tempdir().expect("a folder");
        let real = dir.path().join("one.yaml");
        std::fs::write(&real, "a: 1").expect("written");
        let link = dir.path().join("link.yaml");
        std::os::unix::fs::symlink(&real, &link).expect("linked");
        let mut watch = Watch::new(vec![link]);
        change(dir.path());
        tokio::time::timeout(Duration::from_secs(10), watch.changed())
            .await
            .is_ok()
    }

    #[tokio::test]
    async fn a_rename_over_the_file_is_noticed() {
        assert!(
            notices(|dir| {
                std::fs::write(dir.join("new"), "a: 2").expect("written");
                std::fs::rename(dir.join("new"), dir.join("one.yaml")).expect("renamed");
            })
            .await
        );
    }

    #[tokio::test]
    async fn a_swapped_symbolic_link_is_noticed() {
        assert!(
            notices(|dir| {
                std::fs::write(dir.join("two.yaml"), "a: 1").expect("written");
                std::os::unix::fs::symlink(dir.join("two.yaml"), dir.join("new")).expect("linked");
                std::fs::rename(dir.join("new"), dir.join("link.yaml")).expect("renamed");
            })
            .await
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_stays_as_it_is_is_not_noticed() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("a"), "1").expect("written");
        let mut watch = Watch::new(vec![dir.path().join("a")]);
        let waited = tokio::time::timeout(Duration::from_secs(60), watch.changed()).await;
        assert!(waited.is_err());
    }
}
