//! A permit is good for one call.
use verdict::Permitted;

fn twice<T: Clone>(permit: T) -> (T, T) {
    (permit.clone(), permit)
}

fn spend_twice(permit: Permitted<()>) -> (Permitted<()>, Permitted<()>) {
    twice(permit)
}

fn main() {}
