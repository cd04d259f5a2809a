//! A token server whose tokens Debian's registry takes: signed JSON, as `spec/auth/jwt.md` of the distribution
//! project has it.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, KeyPair};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};

use super::{Exchange, FakeRegistry, Fault, Request, Response};

/// The service that the registry calls itself.
pub const SERVICE: &str = "registry.test";
/// Who signs the tokens.
pub const ISSUER: &str = "tokens.test";

/// The server. It stops when it is dropped.
pub struct TokenServer {
    server: FakeRegistry,
    certificate: String,
}

impl TokenServer {
    /// Starts one, over HTTP on loopback, that gives tokens to `USER:PASSWORD` alone.
    pub fn start(login: &str) -> TokenServer {
        let key = KeyPair::generate().expect("ring makes keys");
        let certificate = CertificateParams::default().self_signed(&key).expect("no name is needed");
        let signer = Signer::new(&key, certificate.der());
        let wanted = format!("Basic {}", STANDARD.encode(login));
        let server = FakeRegistry::start();
        server.always(
            "/token",
            Fault::new(move |request, response| {
                *response = match request.header("authorization") {
                    Some(sent) if sent == wanted => {
                        Response::json(200, &json!({"token": signer.token(request), "expires_in": 300}))
                    }
                    _ => Response::json(401, &json!({"details": "incorrect username or password"})),
                };
            }),
        );
        TokenServer { server, certificate: certificate.pem() }
    }

    /// Where tokens are.
    pub fn realm(&self) -> String {
        self.server.url("/token")
    }

    /// What vouches for the tokens, as PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// What it was asked so far.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.server.exchanges()
    }
}

struct Signer {
    key: EcdsaKeyPair,
    header: String,
}

impl Signer {
    fn new(key: &KeyPair, certificate: &[u8]) -> Signer {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der(), &random)
            .expect("rcgen's keys are of this kind by default");
        let header = json!({"typ": "JWT", "alg": "ES256", "x5c": [STANDARD.encode(certificate)]});
        Signer { key, header: header.to_string() }
    }

    /// A token for every scope that is asked for.
    fn token(&self, request: &Request) -> String {
        let query = request.query.replace("%3A", ":").replace("%2F", "/").replace("%2C", ",");
        let scopes = query.split('&').filter_map(|field| field.strip_prefix("scope="));
        let access: Vec<Value> = scopes
            .filter_map(|scope| {
                let (kind, rest) = scope.split_once(':')?;
                let (name, actions) = rest.rsplit_once(':')?;
                Some(json!({"type": kind, "name": name, "actions": actions.split(',').collect::<Vec<_>>()}))
            })
            .collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let claims = json!({
            "iss": ISSUER, "sub": "user", "aud": SERVICE, "exp": now + 300, "nbf": now - 10, "iat": now,
            "jti": "1", "access": access,
        });
        let encoded = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", encoded(&self.header), encoded(&claims.to_string()));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).expect("ring has randomness");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
