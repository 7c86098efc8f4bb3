//! HTTPS in the binary: certificate and key from files, read anew when they change.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Tls;
use crate::shutdown::Lifecycle;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The certificate of this moment. Connections that are open keep the one they began with.
#[derive(Debug)]
pub struct Certificates {
    files: Tls,
    /// When the files were changed that were read first.
    first: Changed,
    current: ArcSwap<CertifiedKey>,
}

type Changed = [Option<SystemTime>; 2];

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// A sentence that names the file and what is wrong with it.
    pub fn load(files: Tls) -> Result<Arc<Self>, String> {
        // Looked at before they are read: what changes in between is then read once more.
        let first = changed_at(&files);
        let pair = read(&files)?;
        Ok(Arc::new(Self { files, first, current: ArcSwap::from_pointee(pair) }))
    }

    /// What the server is configured with.
    ///
    /// # Errors
    /// Where the TLS library lacks what it needs.
    pub fn server_config(self: &Arc<Self>) -> Result<ServerConfig, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Ok(ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>))
    }

    /// Reads the files anew. A pair that does not fit together is refused, and the old one stays.
    ///
    /// # Errors
    /// A sentence that names the file and what is wrong with it.
    pub fn reload(&self) -> Result<(), String> {
        self.current.store(Arc::new(read(&self.files)?));
        Ok(())
    }

    /// Watches the files until the process stops.
    pub fn watch(self: Arc<Self>, life: &Lifecycle) {
        let soft = life.soft().clone();
        life.spawn(async move {
            let mut seen = self.first;
            loop {
                tokio::select! {
                    () = soft.cancelled() => return,
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
                let now = changed_at(&self.files);
                if now != seen {
                    // The other file of the pair may come a moment later: what does not fit yet is
                    // tried again at the next look.
                    match self.reload() {
                        Ok(()) => {
                            seen = now;
                            tracing::info!("the certificate was read anew");
                        }
                        Err(problem) => tracing::error!(problem, "the new certificate is refused, the old one stays"),
                    }
                }
            }
        });
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn changed_at(files: &Tls) -> Changed {
    let changed = |path: &Path| std::fs::metadata(path).and_then(|data| data.modified()).ok();
    [changed(&files.cert), changed(&files.key)]
}

fn read(files: &Tls) -> Result<CertifiedKey, String> {
    let cannot = |path: &Path, problem: String| format!("{}: {problem}", path.display());
    let chain = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| cannot(&files.cert, format!("no PEM certificates can be read from it ({error})")))?;
    if chain.is_empty() {
        return Err(cannot(&files.cert, "there is no certificate in it".into()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| cannot(&files.key, format!("no PEM private key can be read from it ({error})")))?;
    let key =
        rustls::crypto::ring::sign::any_supported_type(&key).map_err(|error| cannot(&files.key, error.to_string()))?;
    let pair = CertifiedKey::new(chain, key);
    pair.keys_match().map_err(|_| cannot(&files.key, format!("it is not the key of {}", files.cert.display())))?;
    Ok(pair)
}
