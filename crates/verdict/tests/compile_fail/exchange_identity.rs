//! An identity can't be given another standing.
use std::sync::Arc;

use verdict::identity::{Identity, Standing};

fn rise(mut identity: Identity, standing: Arc<Standing>) -> Identity {
    identity.standing = standing;
    identity
}

fn main() {}
