//! **Held bodies**: how many bytes of bodies a node keeps in memory at once, of all calls together.
//!
//! Bodies mostly pass piece by piece. What has to be known whole is held: what a signature is over,
//! what rules read, what is signed towards an upstream, answers that are masked. How long one of them
//! may be is its route's word; here is the bound of all of them, so that many callers, strangers among
//! them, can't fill the memory. What finds no room is refused at once: waiting bodies would be held
//! as well. One address has a share of the room at most, or one body that is longer, so that nobody
//! fills it alone.
//!
//! Counted is what is there, and not what was announced, and it is counted for as long as it is there:
//! the count goes with the last copy of the bytes.

use core::net::IpAddr;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use verdict::limit::folded;

/// One address may hold such a part of the room.
const SHARE: u64 = 4;

/// Room for bodies that are held. Planes may share one.
#[derive(Debug)]
pub struct HeldBodies {
    most: u64,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    bytes: u64,
    /// Of those who hold something now: as many as there are calls at most.
    by_address: HashMap<IpAddr, u64>,
}

/// There is no room for a body, or for more of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoRoom;

impl HeldBodies {
    /// Room for so many bytes.
    pub fn new(most: u64) -> Self {
        Self {
            most,
            counts: Mutex::default(),
        }
    }

    /// How many bytes there is room for.
    pub fn most(&self) -> u64 {
        self.most
    }

    /// Whether what counts `from` bytes may count `to`.
    fn allows(&self, counts: &Counts, address: IpAddr, from: u64, to: u64) -> bool {
        let own = counts.by_address.get(&address).copied().unwrap_or(0);
        let (others, all) = (own - from, counts.bytes - from);
        all + to <= self.most && (others == 0 || others + to <= self.most / SHARE)
    }

    fn change(&self, address: IpAddr, from: u64, to: u64) -> Result<(), NoRoom> {
        let mut counts = self.counts.lock();
        if to > from && !self.allows(&counts, address, from, to) {
            return Err(NoRoom);
        }
        counts.bytes = counts.bytes - from + to;
        let own = counts.by_address.entry(address).or_default();
        *own = *own - from + to;
        if *own == 0 {
            counts.by_address.remove(&address);
        }
        Ok(())
    }
}

/// A body that is being held, and its place in the count.
pub(crate) struct Held {
    data: Vec<u8>,
    /// How many bytes count for it: the memory that it takes.
    counted: u64,
    address: IpAddr,
    room: Arc<HeldBodies>,
}

impl Held {
    /// Nothing yet, of a call from `client`.
    pub(crate) fn new(room: &Arc<HeldBodies>, client: IpAddr) -> Self {
        Self {
            data: Vec::new(),
            counted: 0,
            address: folded(client),
            room: Arc::clone(room),
        }
    }

    /// Whether so many bytes would find room now. Nothing is kept free for them: an announcement costs
    /// its sender nothing.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub(crate) fn expects(&self, bytes: u64) -> Result<(), NoRoom> {
        let counts = self.room.counts.lock();
        let allowed =
            self.room
                .allows(&counts, self.address, self.counted, bytes.max(self.counted));
        allowed.then_some(()).ok_or(NoRoom)
    }

    /// Takes a piece of what is `most` bytes in all, or fewer.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub(crate) fn push(&mut self, piece: &[u8], most: u64) -> Result<(), NoRoom> {
        let needed = self.data.len() + piece.len();
        if needed > self.data.capacity() {
            // Doubled, so that many pieces cost few copies, but not beyond what can come.
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            let wanted = needed.max(most.min(self.data.capacity().saturating_mul(2)));
            self.count(wanted)?;
            self.data.reserve_exact(wanted - self.data.len());
        }
        self.data.extend_from_slice(piece);
        self.settle()
    }

    /// Lets somebody write into it a piece at a time.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub(crate) fn write<T>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> T) -> Result<T, NoRoom> {
        let written = write(&mut self.data);
        self.settle()?;
        Ok(written)
    }

    fn settle(&mut self) -> Result<(), NoRoom> {
        self.count(self.data.capacity())
    }

    fn count(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let bytes = bytes as u64;
        if bytes != self.counted {
            self.room.change(self.address, self.counted, bytes)?;
            self.counted = bytes;
        }
        Ok(())
    }

    /// How many bytes there are.
    pub(crate) fn len(&self) -> usize {
        self.data.len()
    }

    /// The bytes, which count until the last copy of them is gone.
    pub(crate) fn into_bytes(self) -> Bytes {
        if self.data.is_empty() {
            Bytes::new()
        } else {
            Bytes::from_owner(self)
        }
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.counted > 0 {
            // Fewer bytes always find room.
            let _ = self.room.change(self.address, self.counted, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1024;

    fn from(room: &Arc<HeldBodies>, address: &str) -> Held {
        Held::new(room, address.parse().expect("an address"))
    }

    fn take(held: &mut Held, kib: u64) -> Result<(), NoRoom> {
        (0..kib).try_for_each(|_| held.push(&[0; 1024], kib * KIB))
    }

    fn counted(room: &HeldBodies) -> (u64, usize) {
        let counts = room.counts.lock();
        (counts.bytes, counts.by_address.len())
    }

    #[test]
    fn e03_bytes_count_until_their_last_copy_is_gone() {
        let room = Arc::new(HeldBodies::new(64 * KIB));
        let mut held = from(&room, "192.0.2.1");
        assert_eq!(counted(&room), (0, 0));
        take(&mut held, 10).expect("room");
        assert_eq!(counted(&room), (10 * KIB, 1));
        let bytes = held.into_bytes();
        let copy = bytes.slice(1..2);
        drop(bytes);
        assert_eq!(counted(&room), (10 * KIB, 1));
        drop(copy);
        assert_eq!(counted(&room), (0, 0));
    }

    #[test]
    fn e03_what_finds_no_room_is_refused_and_leaves_none_taken() {
        let room = Arc::new(HeldBodies::new(64 * KIB));
        let mut bodies: Vec<Held> = Vec::new();
        for n in 0..4 {
            let mut held = from(&room, &format!("192.0.2.{n}"));
            take(&mut held, 15).expect("room");
            bodies.push(held);
        }
        let mut late = from(&room, "192.0.2.9");
        assert_eq!(late.expects(4 * KIB), Ok(()));
        assert_eq!(late.expects(5 * KIB), Err(NoRoom));
        assert_eq!(take(&mut late, 5), Err(NoRoom));
        drop(late);
        assert_eq!(counted(&room), (60 * KIB, 4));
        bodies.pop();
        take(&mut from(&room, "192.0.2.9"), 15).expect("room again");
        drop(bodies);
        assert_eq!(counted(&room), (0, 0));
    }

    #[test]
    fn e03_an_address_has_a_share_or_one_body() {
        let room = Arc::new(HeldBodies::new(64 * KIB));
        let mut first = from(&room, "2001:db8::1");
        take(&mut first, 10).expect("room");
        // All of a /64 is one address.
        let mut second = from(&room, "2001:db8::2");
        take(&mut second, 6).expect("a share");
        assert_eq!(second.expects(7 * KIB), Err(NoRoom));
        assert_eq!(second.push(&[0], 7 * KIB), Err(NoRoom));
        take(&mut from(&room, "2001:db9::1"), 16).expect("another's share");
        drop((first, second));
        let mut long = from(&room, "2001:db8::1");
        take(&mut long, 40).expect("one body");
        assert_eq!(take(&mut from(&room, "2001:db8::2"), 1), Err(NoRoom));
    }

    #[test]
    fn what_others_write_into_it_counts() {
        let room = Arc::new(HeldBodies::new(8 * KIB));
        let mut held = from(&room, "192.0.2.1");
        held.write(|data| *data = vec![0; 4096]).expect("room");
        assert_eq!(counted(&room), (4 * KIB, 1));
        held.write(|data| *data = vec![0; 100]).expect("room");
        assert_eq!(counted(&room), (100, 1));
        assert_eq!(held.write(|data| *data = vec![0; 9000]), Err(NoRoom));
    }
}
