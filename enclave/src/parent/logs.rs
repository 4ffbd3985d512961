//! Log records on their way to the parent, where the measured configuration lets them leave.

use bytes::Bytes;
use http::{Method, StatusCode, header};
use http_body_util::Full;

use super::{Error, Parent, expect, request};
use crate::disclose::Outlet;
use crate::disclose::metrics::{Count, count};
use crate::limits;

impl Parent {
    /// Gives records to the parent until there are no more. What it does not take is counted, not logged: a record about a
    /// record would go the same way.
    pub async fn give_logs(self, mut outlet: Outlet) {
        while let Some(lines) = outlet.next().await {
            if self.post_logs(&lines).await.is_err() {
                lines.iter().for_each(|_| count(Count::RecordDropped));
                tokio::time::sleep(limits::EVENT_RETRY).await;
            }
        }
    }

    async fn post_logs(&self, lines: &[String]) -> Result<(), Error> {
        const WHAT: &str = "log records";
        let request = request(Method::POST, "/v1/logs")
            .header(header::CONTENT_TYPE, "application/x-ndjson")
            .body(Full::new(Bytes::from(lines.join("\n") + "\n")))?;
        let answer = self.exchange(WHAT, request, limits::MAX_CREDENTIALS_BYTES).await?;
        expect(WHAT, &answer, StatusCode::NO_CONTENT)
    }
}
