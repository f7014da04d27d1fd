//! The orders: objects of several owners, held in memory.
//!
//! At most [`MAX_ORDERS`] are kept; a further one is refused, none is pushed
//! out. Identifiers are counted, never reused, and easy to guess on purpose:
//! guessing one must not be enough to read it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The customers who own orders from the start, by subject.
pub const CUSTOMERS: [&str; 3] = ["alice", "bob", "carol"];

/// The most orders kept at a time.
pub const MAX_ORDERS: usize = 10_000;

/// The longest text of an order's field, in bytes.
const MAX_TEXT: usize = 200;

/// The most pieces in one order.
const MAX_QUANTITY: u32 = 10_000;

/// One order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Order {
    /// `ord_` and a number.
    pub id: String,
    /// The subject of the customer it belongs to.
    pub owner: String,
    /// What was ordered.
    pub item: String,
    /// How many, from 1 to 10 000.
    pub quantity: u32,
    /// `open`, or `shipped`.
    pub status: Status,
}

/// How far an order is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Placed, not sent yet.
    #[default]
    Open,
    /// On its way.
    Shipped,
}

/// What a caller sends to place or to replace an order. Unknown fields are
/// refused, so nothing is written that the caller was not meant to write.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderBody {
    /// The customer; the caller where absent.
    pub owner: Option<String>,
    /// What is ordered, 1 to 200 bytes.
    pub item: String,
    /// How many, from 1 to 10 000.
    pub quantity: u32,
    /// `open` where absent.
    #[serde(default)]
    pub status: Status,
}

impl OrderBody {
    /// The sentence to answer with where a value is out of bounds.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let text_fits = |text: &str| !text.is_empty() && text.len() <= MAX_TEXT;
        if !text_fits(&self.item) {
            Some("`item` takes 1 to 200 bytes")
        } else if !(1..=MAX_QUANTITY).contains(&self.quantity) {
            Some("`quantity` goes from 1 to 10000")
        } else if self.owner.as_deref().is_some_and(|owner| !text_fits(owner)) {
            Some("`owner` takes 1 to 200 bytes")
        } else {
            None
        }
    }
}

/// All orders.
#[derive(Debug)]
pub(crate) struct Orders {
    by_number: BTreeMap<u64, Order>,
    next: u64,
}

impl Orders {
    /// The orders at the start: two or three of each customer.
    pub(crate) fn seeded() -> Self {
        let mut orders = Self {
            by_number: BTreeMap::new(),
            next: 1001,
        };
        for (owner, item, quantity, status) in [
            ("alice", "desk lamp", 2, Status::Shipped),
            ("alice", "oak table", 1, Status::Open),
            ("bob", "garden hose", 1, Status::Open),
            ("bob", "watering can", 3, Status::Shipped),
            ("carol", "road bicycle", 1, Status::Open),
            ("carol", "bicycle bell", 2, Status::Open),
            ("carol", "rain jacket", 1, Status::Shipped),
        ] {
            let body = OrderBody {
                owner: None,
                item: item.to_owned(),
                quantity,
                status,
            };
            orders.place(owner.to_owned(), body);
        }
        orders
    }

    /// Those of one owner, or all; in the order in which they were placed.
    pub(crate) fn list(&self, owner: Option<&str>) -> Vec<&Order> {
        self.by_number
            .values()
            .filter(|order| owner.is_none_or(|owner| owner == order.owner))
            .collect()
    }

    /// One order.
    pub(crate) fn read(&self, id: &str) -> Option<&Order> {
        self.by_number.get(&number(id)?)
    }

    /// Adds an order; nothing when the shop is full.
    pub(crate) fn place(&mut self, owner: String, body: OrderBody) -> Option<&Order> {
        if self.by_number.len() >= MAX_ORDERS {
            return None;
        }
        let number = self.next;
        self.next += 1;
        let order = Order {
            id: format!("ord_{number}"),
            owner,
            item: body.item,
            quantity: body.quantity,
            status: body.status,
        };
        Some(self.by_number.entry(number).or_insert(order))
    }

    /// Replaces what an order says; its id stays, and its owner too unless the
    /// body names another.
    pub(crate) fn replace(&mut self, id: &str, body: OrderBody) -> Option<&Order> {
        let order = self.by_number.get_mut(&number(id)?)?;
        order.item = body.item;
        order.quantity = body.quantity;
        order.status = body.status;
        if let Some(owner) = body.owner {
            order.owner = owner;
        }
        Some(order)
    }

    /// Removes an order; tells whether there was one.
    pub(crate) fn remove(&mut self, id: &str) -> bool {
        number(id).is_some_and(|number| self.by_number.remove(&number).is_some())
    }

    /// How many orders each owner has.
    pub(crate) fn count_by_owner(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for order in self.by_number.values() {
            *counts.entry(order.owner.as_str()).or_default() += 1;
        }
        counts
    }
}

/// The number in an id. One spelling only: `ord_01001` and `ORD_1001` name nothing.
fn number(id: &str) -> Option<u64> {
    let digits = id.strip_prefix("ord_")?;
    let canonical = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    canonical.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(item: &str, quantity: u32) -> OrderBody {
        OrderBody {
            owner: None,
            item: item.to_owned(),
            quantity,
            status: Status::Open,
        }
    }

    #[test]
    fn every_customer_owns_orders_from_the_start() {
        let orders = Orders::seeded();
        for customer in CUSTOMERS {
            assert!(orders.list(Some(customer)).len() >= 2, "{customer}");
        }
    }

    #[test]
    fn a_full_shop_takes_no_further_order_and_keeps_those_it_has() {
        let mut orders = Orders::seeded();
        while orders.place("dave".to_owned(), body("pin", 1)).is_some() {}
        assert_eq!(orders.list(None).len(), MAX_ORDERS);
        assert!(orders.read("ord_1001").is_some());
    }

    #[test]
    fn an_id_has_one_spelling() {
        let orders = Orders::seeded();
        assert!(orders.read("ord_1001").is_some());
        for other in [
            "ord_01001",
            "ORD_1001",
            "1001",
            "ord_+1001",
            "ord_",
            "ord_1001 ",
        ] {
            assert!(orders.read(other).is_none(), "{other}");
        }
    }

    #[test]
    fn a_removed_id_is_not_given_again() {
        let mut orders = Orders::seeded();
        let placed = orders
            .place("bob".to_owned(), body("pin", 1))
            .expect("room")
            .id
            .clone();
        assert!(orders.remove(&placed));
        assert!(!orders.remove(&placed));
        let next = orders
            .place("bob".to_owned(), body("pin", 1))
            .expect("room")
            .id
            .clone();
        assert_ne!(placed, next);
    }

    #[test]
    fn values_out_of_bounds_are_named() {
        assert_eq!(body("pin", 1).fault(), None);
        assert!(
            body("", 1)
                .fault()
                .is_some_and(|text| text.contains("item"))
        );
        assert!(
            body(&"x".repeat(201), 1)
                .fault()
                .is_some_and(|text| text.contains("item"))
        );
        assert!(
            body("pin", 0)
                .fault()
                .is_some_and(|text| text.contains("quantity"))
        );
        assert!(
            body("pin", 10_001)
                .fault()
                .is_some_and(|text| text.contains("quantity"))
        );
    }
}
