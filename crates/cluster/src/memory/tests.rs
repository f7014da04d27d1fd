use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

const FIVE_PER_MINUTE: Rate = Rate {
    limit: 5,
    period: Duration::from_secs(60),
};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + millis)
}

fn address(n: u32) -> LimitKey {
    LimitKey::Address(IpAddr::V4(Ipv4Addr::from_bits(n)), 0)
}

/// Takes one call of each of `keys`.
fn flood(counters: &MemoryCounters, keys: core::ops::Range<u32>, now: Timestamp) {
    for n in keys {
        counters.take_now(&address(n), &FIVE_PER_MINUTE, 1, now);
    }
}

#[test]
fn h08_threads_that_ask_at_once_get_exactly_the_budget() {
    const THREADS: u32 = 8;
    const KEYS: u32 = 20;
    let counters = MemoryCounters::default();
    let rate = Rate {
        limit: 1000,
        period: Duration::from_secs(3600),
    };
    let passed: Vec<AtomicU32> = (0..KEYS).map(|_| AtomicU32::new(0)).collect();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..500 {
                    for n in 0..KEYS {
                        if counters.take_now(&address(n), &rate, 1, at(0)).allowed {
                            passed[n as usize].fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    for passed in passed {
        assert_eq!(passed.into_inner(), 1000);
    }
}

#[tokio::test]
async fn the_port_gives_the_same_answers() {
    let counters = MemoryCounters::default();
    for n in 1..=6 {
        let taken = Counters::take(&counters, &address(1), &FIVE_PER_MINUTE, 1, at(0)).await;
        assert_eq!(taken.map(|taken| taken.allowed), Ok(n <= 5));
    }
}

#[test]
fn budgets_of_different_kinds_are_apart() {
    let counters = MemoryCounters::default();
    let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    for _ in 0..5 {
        assert!(
            counters
                .take_now(&LimitKey::Address(ip, 0), &FIVE_PER_MINUTE, 1, at(0))
                .allowed
        );
    }
    assert!(
        !counters
            .take_now(&LimitKey::Address(ip, 0), &FIVE_PER_MINUTE, 1, at(0))
            .allowed
    );
    for key in [
        LimitKey::Address(ip, 1),
        LimitKey::Principal(1, 2),
        LimitKey::Principal(2, 1),
    ] {
        assert!(
            counters.take_now(&key, &FIVE_PER_MINUTE, 1, at(0)).allowed,
            "{key:?}"
        );
    }
}

#[test]
fn the_table_keeps_its_bound_under_a_flood_of_keys() {
    let counters = MemoryCounters::with_capacity(6_400, 64);
    flood(&counters, 0..100_000, at(0));
    assert!(counters.len() <= 6_400, "{} keys", counters.len());
}

#[test]
fn budgets_that_are_whole_again_are_dropped_in_passing() {
    let counters = MemoryCounters::default();
    flood(&counters, 0..10_000, at(0));
    assert_eq!(counters.len(), 10_000);
    flood(&counters, 10_000..20_000, at(60_001));
    assert!(counters.len() < 11_000, "{} keys", counters.len());
}

#[test]
fn an_active_offender_survives_any_flood() {
    let counters = MemoryCounters::with_capacity(640, 64);
    let offenders: Vec<LimitKey> = (0..100).map(|n| LimitKey::Principal(n, 0)).collect();
    for offender in &offenders {
        for _ in 0..=5 {
            counters.take_now(offender, &FIVE_PER_MINUTE, 1, at(0));
        }
    }
    // Budgets that are spent deeper than the offenders', so that those would be the first to go.
    let hourly = Rate {
        limit: 2,
        period: Duration::from_secs(7200),
    };
    for n in 0..200_000 {
        counters.take_now(&address(n), &hourly, 1, at(1));
    }
    for offender in &offenders {
        let taken = counters.take_now(offender, &FIVE_PER_MINUTE, 1, at(2));
        assert!(!taken.allowed, "{offender:?} was forgotten");
    }
}

#[test]
fn an_offender_that_recovered_may_be_forgotten() {
    let counters = MemoryCounters::with_capacity(64, 64);
    let offender = LimitKey::Principal(1, 1);
    for _ in 0..=5 {
        counters.take_now(&offender, &FIVE_PER_MINUTE, 1, at(0));
    }
    flood(&counters, 0..10_000, at(61_000));
    assert!(
        counters
            .take_now(&offender, &FIVE_PER_MINUTE, 5, at(61_000))
            .allowed
    );
}

#[test]
fn a_table_full_of_offenders_still_counts_newcomers() {
    let counters = MemoryCounters::with_capacity(64, 64);
    for n in 0..2_000 {
        for _ in 0..=5 {
            counters.take_now(&LimitKey::Principal(n, 0), &FIVE_PER_MINUTE, 1, at(0));
        }
    }
    let passed = (0..100_000)
        .filter(|n| {
            counters
                .take_now(&address(*n), &FIVE_PER_MINUTE, 1, at(0))
                .allowed
        })
        .count();
    assert!(
        passed <= 5 * SHARDS,
        "{passed} newcomers passed a full table"
    );
}

/// Resident memory of this process in bytes, as Linux tells it.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = status.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

#[test]
fn a_hundred_thousand_keys_take_less_than_50_megabytes() {
    // What the allocator took is an upper bound: other tests may run in this process meanwhile.
    let Some(before) = resident() else { return };
    let counters = MemoryCounters::default();
    flood(&counters, 0..100_000, at(0));
    let grown = resident().map_or(0, |after| after.saturating_sub(before));
    assert_eq!(counters.len(), 100_000);
    #[expect(
        clippy::print_stdout,
        reason = "the figure is the point of running it by hand"
    )]
    {
        println!("100 000 keys: {:.1} MB", grown as f64 / 1e6);
    }
    assert!(grown < 50_000_000, "{grown} bytes");
}

const RULES: Penalties = Penalties {
    budget: FIVE_PER_MINUTE,
    first: Duration::from_secs(10),
    longest: Duration::from_secs(900),
    forget_after: Duration::from_secs(3600),
};

fn ip(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(n))
}

/// Spends an address's whole budget of failures.
fn exhaust(counters: &MemoryCounters, from: IpAddr, now: Timestamp) -> Option<Penalty> {
    (0..5).fold(None, |begun, _| {
        counters.failed_now(from, &RULES, now).or(begun)
    })
}

#[test]
fn an_address_that_fails_too_often_is_held_back_for_longer_each_time_and_others_are_not() {
    let counters = MemoryCounters::default();
    let mut now = at(0);
    for seconds in [10, 20, 40] {
        let begun = exhaust(&counters, ip(1), now).expect("a penalty");
        assert_eq!(begun.left, Duration::from_secs(seconds));
        assert_eq!(counters.penalty_now(ip(1), &RULES, now), Some(begun));
        assert_eq!(counters.penalty_now(ip(2), &RULES, now), None);
        now = now.plus(begun.left);
        assert_eq!(counters.penalty_now(ip(1), &RULES, now), None);
    }
}

#[test]
fn addresses_of_one_ipv6_network_have_their_penalty_together() {
    let counters = MemoryCounters::default();
    let address = |text: &str| -> IpAddr { text.parse().unwrap() };
    for n in 0..5 {
        counters.failed_now(address(&format!("2001:db8:0:1::{n}")), &RULES, at(0));
    }
    let held = |text| counters.penalty_now(address(text), &RULES, at(0)).is_some();
    assert!(held("2001:db8:0:1:ffff::1"));
    assert!(!held("2001:db8:0:2::1"));
}

#[test]
fn h08_threads_that_fail_at_once_begin_exactly_the_penalties_that_are_due() {
    let counters = MemoryCounters::default();
    let begun = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..100 {
                    if counters.failed_now(ip(1), &RULES, at(0)).is_some() {
                        begun.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(begun.into_inner(), 800 / 5);
}

#[test]
fn the_table_of_addresses_keeps_its_bound_and_no_penalty_is_forgotten_in_a_flood() {
    let counters = MemoryCounters::with_capacity(64, 640);
    for n in 0..100 {
        exhaust(&counters, ip(n), at(0));
    }
    // Twice as many budgets of calls, and failures of far more addresses than there is room for.
    flood(&counters, 0..100_000, at(1));
    for n in 1_000..200_000 {
        counters.failed_now(ip(n), &RULES, at(1));
    }
    assert!(counters.offenders() <= 640, "{}", counters.offenders());
    for n in 0..100 {
        let held = counters.penalty_now(ip(n), &RULES, at(2));
        assert!(held.is_some(), "address {n} was forgotten");
    }
    // Their place in the row is not forgotten either.
    let begun = exhaust(&counters, ip(7), at(11_000)).expect("a penalty");
    assert_eq!(begun.left, Duration::from_secs(20));
}

#[test]
fn where_only_offenders_are_left_newcomers_share_a_budget_without_penalties() {
    let counters = MemoryCounters::with_capacity(64, 64);
    for n in 0..2_000 {
        exhaust(&counters, ip(n), at(0));
    }
    assert!(counters.offenders() <= 64);
    let failing = (10_000..20_000)
        .filter(|n| counters.penalty_now(ip(*n), &RULES, at(0)).is_none())
        .inspect(|n| assert_eq!(counters.failed_now(ip(*n), &RULES, at(0)), None))
        .count();
    assert!(
        failing <= 5 * SHARDS,
        "{failing} newcomers failed uncounted"
    );
    // What they share comes back as any budget does, and holds nobody back for long.
    let held = counters.penalty_now(ip(10_000), &RULES, at(0));
    assert!(held.is_none_or(|held| held.left <= Duration::from_secs(12)));
    assert_eq!(counters.penalty_now(ip(10_000), &RULES, at(60_000)), None);
}

#[test]
fn addresses_that_were_forgiven_are_dropped_in_passing() {
    let counters = MemoryCounters::default();
    for n in 0..10_000 {
        exhaust(&counters, ip(n), at(0));
    }
    assert_eq!(counters.offenders(), 10_000);
    let later = at(3_700_000);
    for n in 10_000..20_000 {
        counters.failed_now(ip(n), &RULES, later);
    }
    assert!(counters.offenders() < 11_000, "{}", counters.offenders());
}
