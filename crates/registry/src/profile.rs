//! **Profiles**: what the standards demand of a client, in one table that can be held against them.
//! The issuer and the meaning of documents read it; neither has rules of its own beside it.

use core::time::Duration;

use proof::jose::alg::Algorithm;

use crate::client::{ClientAuthMethod, Profile};

/// How an authorization response travels (OAuth 2.0 Multiple Response Types §2.1, OAuth 2.0 Form
/// Post Response Mode). Never `fragment`: no token is ever issued at the authorization endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResponseMode {
    /// In the query of the redirect URI.
    Query,
    /// In a form that posts itself.
    FormPost,
}

impl ResponseMode {
    /// Every mode, the default first.
    pub const ALL: [Self; 2] = [Self::Query, Self::FormPost];
    /// Its registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::FormPost => "form_post",
        }
    }
    /// The mode of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

/// What a profile demands and allows. "FAPI" is FAPI 2.0 Security Profile (Final), "9700" RFC 9700.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Whether confidential clients must use PKCE; public ones always must. 9700 §2.1.1, OAuth 2.1
    /// §7.5.1, FAPI §5.3.2.2; OpenID Core knows no PKCE.
    pub pkce_required_for_confidential: bool,
    /// Whether authorization requests must be pushed. FAPI §5.3.2.2.
    pub par_required: bool,
    /// Whether access tokens must be bound to their sender. FAPI §5.3.2.1.
    pub sender_constraint_required: bool,
    /// How a client may prove itself. FAPI §5.3.2.1: `private_key_jwt` or mutual TLS only, and no
    /// public clients.
    pub auth_methods: &'static [ClientAuthMethod],
    /// With what a client may sign assertions and proofs. FAPI §5.4.1; elsewhere everything that is
    /// asymmetric.
    pub signing_algorithms: &'static [Algorithm],
    /// Whether an assertion's `aud` is the issuer identifier as a single string and nothing else.
    /// FAPI §5.3.2.1 (an endpoint's URL as audience lets a hostile server pass an assertion on).
    pub assertion_audience_issuer_only: bool,
    /// Life of an authorization code. FAPI §5.3.2.2: at most 60 s; OAuth 2.1 §4.1.2: at most 10 min.
    pub code_lifetime: Duration,
    /// Whether a refresh token is replaced at each use. 9700 §4.14.2 asks it of public clients;
    /// FAPI §5.3.2.1 forbids it, since a lost answer would lock the client out and its tokens are
    /// bound to it anyway.
    pub rotates_refresh_tokens: bool,
    /// Whether an authorization request with `openid` must carry a `nonce`. OpenID Core §3.1.2.1:
    /// optional in the code flow; PKCE holds the code to its request.
    pub nonce_required: bool,
    /// With what ID tokens and UserInfo may be signed, the default first. FAPI §5.4.1; OpenID Core
    /// §15.1 makes RS256 the one that every relying party knows.
    pub id_token_algorithms: &'static [Algorithm],
    /// How authorization responses may travel.
    pub response_modes: &'static [ResponseMode],
    /// Whether a redirect URI may be plain HTTP on loopback. RFC 8252 §7.3 allows it to programs on
    /// the person's own device; FAPI §5.3.2.2: responses never travel unencrypted.
    pub plain_http_redirects: bool,
}

const MODERN: &[Algorithm] = &[Algorithm::ES256, Algorithm::EdDSA, Algorithm::PS256];
const SIGNED_BY_CLIENTS: &[Algorithm] = &Algorithm::ALL;

const OAUTH21: Rules = Rules {
    pkce_required_for_confidential: true,
    par_required: false,
    sender_constraint_required: false,
    auth_methods: &ClientAuthMethod::ALL,
    signing_algorithms: SIGNED_BY_CLIENTS,
    assertion_audience_issuer_only: false,
    code_lifetime: Duration::from_secs(60),
    rotates_refresh_tokens: true,
    nonce_required: false,
    id_token_algorithms: &[
        Algorithm::ES256,
        Algorithm::EdDSA,
        Algorithm::PS256,
        Algorithm::RS256,
    ],
    response_modes: &ResponseMode::ALL,
    plain_http_redirects: true,
};

const FAPI2: Rules = Rules {
    pkce_required_for_confidential: true,
    par_required: true,
    sender_constraint_required: true,
    auth_methods: &[
        ClientAuthMethod::PrivateKeyJwt,
        ClientAuthMethod::TlsClientAuth,
        ClientAuthMethod::SelfSignedTlsClientAuth,
    ],
    signing_algorithms: MODERN,
    assertion_audience_issuer_only: true,
    code_lifetime: Duration::from_secs(60),
    rotates_refresh_tokens: false,
    nonce_required: false,
    id_token_algorithms: MODERN,
    response_modes: &ResponseMode::ALL,
    plain_http_redirects: false,
};

const OIDC_COMPAT: Rules = Rules {
    pkce_required_for_confidential: false,
    par_required: false,
    sender_constraint_required: false,
    auth_methods: &ClientAuthMethod::ALL,
    signing_algorithms: SIGNED_BY_CLIENTS,
    assertion_audience_issuer_only: false,
    code_lifetime: Duration::from_secs(60),
    rotates_refresh_tokens: true,
    nonce_required: false,
    id_token_algorithms: &[
        Algorithm::RS256,
        Algorithm::ES256,
        Algorithm::EdDSA,
        Algorithm::PS256,
    ],
    response_modes: &ResponseMode::ALL,
    plain_http_redirects: true,
};

impl Profile {
    /// The table's column of this profile.
    pub const fn rules(self) -> &'static Rules {
        match self {
            Self::Oauth21 => &OAUTH21,
            Self::Fapi2 => &FAPI2,
            Self::OidcCompat => &OIDC_COMPAT,
        }
    }
    /// How ID tokens are signed for a client that does not say.
    pub const fn id_token_algorithm(self) -> Algorithm {
        self.rules().id_token_algorithms[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fapi2_is_no_weaker_anywhere_than_the_default() {
        let (strict, usual) = (Profile::Fapi2.rules(), Profile::Oauth21.rules());
        assert!(strict.par_required && strict.sender_constraint_required);
        assert!(strict.assertion_audience_issuer_only && !strict.plain_http_redirects);
        assert!(strict.pkce_required_for_confidential);
        assert!(strict.code_lifetime <= Duration::from_secs(60));
        assert!(strict.code_lifetime <= usual.code_lifetime);
        assert!(strict.auth_methods.iter().all(|method| method.asymmetric()));
        for one in strict
            .signing_algorithms
            .iter()
            .chain(strict.id_token_algorithms)
        {
            assert!(matches!(one.name(), "ES256" | "EdDSA" | "PS256"), "{one:?}");
        }
    }

    #[test]
    fn every_profile_signs_with_what_it_names_first() {
        for profile in Profile::ALL {
            let rules = profile.rules();
            assert!(
                rules
                    .id_token_algorithms
                    .contains(&profile.id_token_algorithm())
            );
            assert!(rules.response_modes.contains(&ResponseMode::Query));
        }
        assert_eq!(Profile::OidcCompat.id_token_algorithm(), Algorithm::RS256);
    }
}
