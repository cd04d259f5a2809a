//! Who is let in, and the tokens that say so.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{Request, Response};

/// Who is let in.
#[derive(Debug, Clone, Default)]
pub enum Access {
    /// Everybody.
    #[default]
    Everybody,
    /// Who says `USER:PASSWORD`.
    Basic(String),
    /// Who has a token that `/token` gave out.
    Bearer {
        /// The values of `WWW-Authenticate`, one header each; `{realm}` stands for where the tokens are.
        challenges: Vec<String>,
        /// Who is given a token: nobody else than `USER:PASSWORD`, or everybody.
        login: Option<String>,
        /// The identity token for which there are others by POST.
        identity: Option<String>,
    },
}

impl Access {
    /// Bearer tokens for everybody, as Docker's registry words it.
    pub fn bearer() -> Access {
        Access::bearer_with(&[r#"Bearer realm="{realm}",service="test",scope="repository:a/b:pull""#])
    }

    /// Bearer tokens for everybody, after these challenges.
    pub fn bearer_with(challenges: &[&str]) -> Access {
        let challenges = challenges.iter().map(|challenge| challenge.to_string()).collect();
        Access::Bearer { challenges, login: None, identity: None }
    }

    /// Bearer tokens for `USER:PASSWORD`, or for an identity token.
    pub fn bearer_for(login: Option<&str>, identity: Option<&str>) -> Access {
        let Access::Bearer { challenges, .. } = Access::bearer() else { return Access::Everybody };
        Access::Bearer { challenges, login: login.map(String::from), identity: identity.map(String::from) }
    }
}

/// Keeps the door.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    pub(super) access: Access,
    given: u32,
    valid: HashSet<String>,
}

impl Keeper {
    pub(super) fn revoke(&mut self) {
        self.valid.clear();
    }

    /// The refusal, unless the request may pass.
    pub(super) fn refuse(&self, request: &Request, realm: &str) -> Option<Response> {
        let sent = request.header("authorization").unwrap_or_default();
        let (allowed, challenges) = match &self.access {
            Access::Everybody => return None,
            Access::Basic(login) => (sent == basic(login), vec![r#"Basic realm="test""#.to_string()]),
            Access::Bearer { challenges, .. } => {
                let token = sent.strip_prefix("Bearer ").unwrap_or_default();
                (self.valid.contains(token), challenges.clone())
            }
        };
        if allowed {
            return None;
        }
        let mut refusal = Response::error(401, "UNAUTHORIZED", "authentication required");
        for challenge in challenges {
            refusal.headers.push(("WWW-Authenticate".into(), challenge.replace("{realm}", realm)));
        }
        Some(refusal)
    }

    /// What the token server answers: `token-1`, `token-2`, …
    pub(super) fn grant(&mut self, request: &Request) -> Response {
        let Access::Bearer { login, identity, .. } = &self.access else { return Response::status(404) };
        let sent = request.header("authorization").unwrap_or_default();
        let by_post = request.method == "POST";
        let allowed = match (by_post, login, identity) {
            (true, _, None) => return Response::status(405),
            (true, _, Some(identity)) => {
                let wanted = format!("refresh_token={identity}");
                str::from_utf8(&request.body).unwrap_or_default().split('&').any(|field| field == wanted)
            }
            (false, Some(login), _) => sent == basic(login),
            (false, None, Some(identity)) => sent == basic(&format!("<token>:{identity}")),
            (false, None, None) => true,
        };
        if !allowed {
            return Response::json(401, &json!({"details": "incorrect username or password"}));
        }
        self.given += 1;
        let token = format!("token-{}", self.given);
        self.valid.insert(token.clone());
        let name = if by_post { "access_token" } else { "token" };
        Response::json(200, &json!({name: token, "expires_in": 300}))
    }
}

fn basic(login: &str) -> String {
    format!("Basic {}", STANDARD.encode(login))
}
