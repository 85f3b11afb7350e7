//! What does the server show of itself, and whom does it let speak? Certificates, which may be replaced
//! while it runs.

use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};

use super::options::Tls;
use crate::error::{Classified, ErrorKind};

/// What is spoken on a port, as both sides agree while they begin to encrypt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spoken {
    /// gRPC, and gRPC-web of browsers that speak no HTTP/2.
    Grpc,
    /// HTTP as it was before HTTP/2.
    Http,
}

/// The certificates that new connections see. Clones are the same: what replaces them holds from the
/// next connection on, and those that are open go on as they are.
#[derive(Debug, Clone)]
pub struct Certificates(Arc<RwLock<Configs>>);

/// One for each port, of the same certificates.
#[derive(Debug)]
struct Configs {
    grpc: Arc<ServerConfig>,
    http: Arc<ServerConfig>,
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is no PEM, or there is nothing in it that was looked for.
    #[error("{what}: expected PEM")]
    Pem {
        /// What was looked for.
        what: &'static str,
        /// What the reader says.
        #[source]
        source: pem::Error,
    },
    /// A file without a certificate.
    #[error("{0}: found no certificate")]
    Nothing(&'static str),
    /// They do not belong together, or are none.
    #[error("the certificate and the key do not go together")]
    Pair(#[source] rustls::Error),
    /// Who is said to sign the certificates of clients cannot.
    #[error("the certificates of who signs for clients cannot be used")]
    ClientCa(#[source] rustls::Error),
    /// They give nothing to check with.
    #[error("the certificates of who signs for clients cannot be used")]
    Verifier(#[from] VerifierBuilderError),
}

impl Classified for TlsError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }
}

impl Certificates {
    /// Returns certificates that can be used.
    ///
    /// # Errors
    /// [`TlsError`]: they are no PEM, there are none, or the key is not that of the first of them.
    pub(super) fn new(tls: &Tls) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(RwLock::new(configs(tls)?))))
    }

    /// Shows others from the next connection on.
    ///
    /// # Errors
    /// [`TlsError`]: they cannot be used, and those from before go on.
    pub fn replace(&self, tls: &Tls) -> Result<(), TlsError> {
        let new = configs(tls)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// Returns how the next connection is encrypted.
    pub(super) fn current(&self, spoken: Spoken) -> Arc<ServerConfig> {
        let configs = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(match spoken {
            Spoken::Grpc => &configs.grpc,
            Spoken::Http => &configs.http,
        })
    }
}

/// Sessions are not taken over: who was let in by other certificates shows what these ask for.
fn configs(tls: &Tls) -> Result<Configs, TlsError> {
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Pair)?;
    let builder = match &tls.client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates("tls_client_ca", ca)? {
                roots.add(certificate).map_err(TlsError::ClientCa)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build()?)
        }
    };
    let shown = certificates("tls_cert", &tls.certificates)?;
    let key = PrivateKeyDer::from_pem_slice(&tls.key)
        .map_err(|source| TlsError::Pem { what: "tls_key", source })?;
    let mut grpc = builder.with_single_cert(shown, key).map_err(TlsError::Pair)?;
    let mut http = grpc.clone();
    grpc.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    http.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Configs { grpc: Arc::new(grpc), http: Arc::new(http) })
}

fn certificates(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let read = read.map_err(|source| TlsError::Pem { what, source })?;
    if read.is_empty() { Err(TlsError::Nothing(what)) } else { Ok(read) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> Tls {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let (certificates, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        Tls { certificates: certificates.into(), key: key.into(), client_ca: None }
    }

    #[test]
    fn what_cannot_be_used_leaves_what_was_there_before() {
        let (first, other) = (made(), made());
        let certificates = Certificates::new(&first).unwrap();
        let before = certificates.current(Spoken::Grpc);
        let wrong = [
            (Tls { key: other.key.clone(), ..first.clone() }, "do not go together"),
            (Tls { certificates: b"none".to_vec(), ..first.clone() }, "tls_cert: found no"),
            (Tls { key: b"none".to_vec(), ..first.clone() }, "tls_key: expected PEM"),
            (Tls { client_ca: Some(Vec::new()), ..first }, "tls_client_ca: found no"),
        ];
        for (tls, words) in wrong {
            let error = certificates.replace(&tls).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
            assert!(Arc::ptr_eq(&before, &certificates.current(Spoken::Grpc)));
        }
        certificates.replace(&other).unwrap();
        assert!(!Arc::ptr_eq(&before, &certificates.current(Spoken::Grpc)));
        let http = certificates.current(Spoken::Http);
        assert_eq!(http.alpn_protocols, [b"http/1.1".to_vec()]);
    }
}
