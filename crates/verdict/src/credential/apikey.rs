//! **API key** and **admin key**.
