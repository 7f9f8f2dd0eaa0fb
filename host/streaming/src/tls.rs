use std::{path::Path, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use tokio_rustls::TlsAcceptor;
use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::TlsFiles;

/// TLS as it is served: a client that does not speak it is not.
pub(crate) struct Tls {
    pub(crate) acceptor: TlsAcceptor,
    /// What a client is shown, its own certificate first.
    pub(crate) chain: Vec<CertificateDer<'static>>,
}

/// Reads certificate and key.
pub(crate) fn tls(files: &TlsFiles) -> Result<Tls> {
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .step_as(Kind::FailedPrecondition, || format!("streaming: read the key {}", files.key.display()))?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = builder.step(|| "streaming: set up TLS".into())?;
    let builder = match &files.client_ca {
        Some(path) => builder.with_client_cert_verifier(verifier(path, provider)?),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain.clone(), key).step_as(Kind::FailedPrecondition, || {
        format!("streaming: use the certificate {}", files.certificate.display())
    })?;
    // An upgrade is of HTTP/1.1 alone.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Tls { acceptor: Arc::new(config).into(), chain })
}

/// Whoever has a certificate of these authorities may connect, and nobody else.
fn verifier(path: &Path, provider: Arc<rustls::crypto::CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>> {
    let what = || format!("streaming: use the authorities {}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).step_as(Kind::FailedPrecondition, what)?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let verifier: Arc<dyn ClientCertVerifier> = verifier.step_as(Kind::FailedPrecondition, what)?;
    Ok(verifier)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let what = || format!("streaming: read the certificates {}", path.display());
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let list = read.step_as(Kind::FailedPrecondition, what)?;
    if list.is_empty() {
        return Err(Error::new(Kind::FailedPrecondition, format!("{}: there is none in it", what())));
    }
    Ok(list)
}
