//! Bundles of policies, as servers answer them, and what policies say of answers.

use proof::jose::jwk::JwkSet;
use verdict::policy::rego::Mask;
use verdict::policy::rego::bundle::{Verification, read};

pub(crate) fn bundle(data: &[u8]) {
    if let Ok(bundle) = read(data, None, None) {
        for module in &bundle.source.modules {
            let steps = module.path.split('/');
            assert!(!module.path.starts_with('/'));
            assert!(
                steps
                    .into_iter()
                    .all(|step| !matches!(step, "" | "." | ".."))
            );
        }
    }
    // No key, no bundle.
    let keys = JwkSet::default();
    let verification = Verification {
        keys: &keys,
        scope: None,
    };
    assert!(read(data, Some(verification), None).is_err());
}

pub(crate) fn mask(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    let (pointer, json) = text.split_once('\n').unwrap_or((text, "{}"));
    if let Some(mask) = Mask::parse(pointer) {
        let again = Mask::parse(&mask.to_string());
        assert_eq!(again.as_ref(), Some(&mask), "{pointer}");
        if let Ok(mut value) = serde_json::from_str(json) {
            mask.apply(&mut value);
        }
    }
}
