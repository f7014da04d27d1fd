//! A refusal can't be turned round.
use verdict::{Permitted, Refused};

fn overrule(refused: Refused<()>) -> Permitted<()> {
    Permitted::from(refused)
}

fn main() {}
