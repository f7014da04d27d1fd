//! A permit has no public constructor and no public parts.
use verdict::Permitted;
use verdict::call::Call;

fn forge(call: Call<()>) -> Permitted<()> {
    Permitted { call, identity: None }
}

fn main() {}
