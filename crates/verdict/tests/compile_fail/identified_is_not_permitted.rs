//! Knowing who calls is no permit.
use verdict::{Identified, Permitted};

fn skip_the_decision(who: Identified<()>) -> Permitted<()> {
    who.into()
}

fn main() {}
