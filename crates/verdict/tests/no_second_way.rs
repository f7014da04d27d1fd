//! There is one way to the upstream: what must not compile, does not.

#[test]
fn nothing_outside_of_the_room_makes_identities_or_permits() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/compile_fail/*.rs");
}
