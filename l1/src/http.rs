//! HTTP with limits: what JSON-RPC endpoints, beacon nodes and remote signers have in common.

use bytes::{Bytes, BytesMut};
use reqwest::{
    Certificate, Client, Identity, StatusCode, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};

use crate::{
    config::{ConfigError, EndpointConfig},
    endpoint::EndpointError,
};

/// A client of one address.
#[derive(Debug)]
pub(crate) struct Http {
    name: String,
    client: Client,
    url: Url,
    response_bytes_max: usize,
}

impl Http {
    pub(crate) fn new(config: &EndpointConfig) -> Result<Self, ConfigError> {
        let name = config.name.clone();
        let url = Url::parse(&config.url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| ConfigError::Url { name: name.clone() })?;
        let mut headers = HeaderMap::new();
        for (key, value) in &config.headers {
            let bad = || ConfigError::Header { name: name.clone(), header: key.clone() };
            let key = HeaderName::from_bytes(key.as_bytes()).map_err(|_| bad())?;
            let mut value = HeaderValue::from_str(value).map_err(|_| bad())?;
            value.set_sensitive(true);
            headers.insert(key, value);
        }
        let client = client(config, &url, headers)
            .map_err(|error| ConfigError::Tls { name: name.clone(), reason: chain(&error) })?;
        Ok(Self { name, client, url, response_bytes_max: config.response_bytes_max })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) async fn post_json(
        &self,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes), EndpointError> {
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(body);
        self.answer(request).await
    }

    /// Asks for a path below the address, with an optional query.
    pub(crate) async fn get(
        &self,
        path: &str,
        query: Option<&str>,
    ) -> Result<(StatusCode, Bytes), EndpointError> {
        let mut url = self.url.clone();
        url.set_path(&format!("{}/{path}", self.url.path().trim_end_matches('/')));
        if query.is_some() {
            url.set_query(query);
        }
        self.answer(self.client.get(url)).await
    }

    async fn answer(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<(StatusCode, Bytes), EndpointError> {
        let mut response = request.send().await.map_err(transport)?;
        let limit = self.response_bytes_max;
        let too_large = || EndpointError::TooLarge { limit };
        let announced = response.content_length().unwrap_or(0);
        if announced > limit as u64 {
            return Err(too_large());
        }
        // What is announced only guides the first allocation; what arrives is what is counted.
        let mut body = BytesMut::with_capacity((announced as usize).min(1 << 20));
        while let Some(chunk) = response.chunk().await.map_err(transport)? {
            if body.len() + chunk.len() > limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok((response.status(), body.freeze()))
    }
}

fn client(
    config: &EndpointConfig,
    url: &Url,
    headers: HeaderMap,
) -> Result<Client, reqwest::Error> {
    // The process has one TLS provider. Whoever was first has installed it, and ring is the only one that we link.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .default_headers(headers)
        .user_agent(concat!("millrace/", env!("CARGO_PKG_VERSION")))
        // A JSON-RPC endpoint that redirects is a proxy's login page.
        .redirect(Policy::none())
        .tcp_nodelay(true)
        .timeout(config.request_timeout)
        .connect_timeout(config.request_timeout);
    if url.scheme() == "http" {
        // Looking for the system's authorities fails where there are none, and plain HTTP needs none.
        builder = builder.tls_certs_only([]);
    } else {
        if let Some(pem) = &config.tls.authorities_pem {
            builder = builder.tls_certs_merge(Certificate::from_pem_bundle(pem)?);
        }
        if let Some(pem) = &config.tls.identity_pem {
            builder = builder.identity(Identity::from_pem(pem)?);
        }
    }
    builder.build()
}

fn transport(error: reqwest::Error) -> EndpointError {
    if error.is_timeout() {
        EndpointError::Timeout
    } else {
        EndpointError::Unreachable(chain(&error.without_url()))
    }
}

/// An error with its causes in one line: reqwest's own message seldom says what happened.
fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}
