//! One running Doorward for all tests that change nothing in it.

use testkit::doorward::{BASE, Doorward};

#[test]
fn the_binary_starts_and_stops_in_order() {
    let mut doorward = Doorward::start(BASE).unwrap();
    assert!(!doorward.owner_key().is_empty(), "{}", doorward.stdout());
    let (status, body) = doorward.admin_call("GET", "/v1/status", None).unwrap();
    assert_eq!(status, 200, "{body}");
    assert!(doorward.stop().unwrap(), "{}", doorward.log());
}
