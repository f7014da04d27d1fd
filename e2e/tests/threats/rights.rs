//! **Who may do what to which thing**: objects of others by every way that a call can name one,
//! functions beyond a scope, fields that are nobody's to read or to write, policies that have no
//! answer, and callers who try one id after another.

mod functions;
mod objects;
mod policies;
mod probing;
mod properties;
mod world;
