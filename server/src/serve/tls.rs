//! HTTPS in this process. The certificate is read again when its file changes, so that a renewal needs no restart.

use std::{
    fs, io,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::config::Tls;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Makes TLS connections with the certificate that there is now.
pub(crate) struct Acceptor {
    files: Tls,
    current: RwLock<(Option<SystemTime>, Arc<ServerConfig>)>,
}

impl Acceptor {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// One of the files cannot be read, or they do not belong together.
    pub(crate) fn new(files: Tls) -> Result<Self, String> {
        let current = (changed(&files), load(&files)?);
        Ok(Self { files, current: RwLock::new(current) })
    }

    /// The handshake with a client.
    ///
    /// # Errors
    /// Those of the handshake and of the connection.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).1);
        TlsAcceptor::from(config).accept(stream).await
    }

    /// Looks for a new certificate, for ever. One that cannot be read leaves the old one in place.
    pub(crate) async fn renew(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let seen = changed(&self.files);
            if seen == self.current.read().unwrap_or_else(PoisonError::into_inner).0 {
                continue;
            }
            let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
            match load(&self.files) {
                Ok(config) => {
                    *current = (seen, config);
                    log::info!("the certificate was read again");
                }
                Err(error) => {
                    // Key and certificate are written one after the other: the next look may find both.
                    log::warn!("the old certificate stays in use: {error}");
                }
            }
        }
    }
}

/// When either file was changed last.
fn changed(files: &Tls) -> Option<SystemTime> {
    let time = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
    time(&files.certificate).max(time(&files.key))
}

fn load(files: &Tls) -> Result<Arc<ServerConfig>, String> {
    let at = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let chain: Vec<_> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .map_err(|error| at(&files.certificate, &error))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| at(&files.key, &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| at(&files.certificate, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
