//! What `deploy/` asks a pod for is what a parent and its enclave answer; its form is checked by `scripts/deploy.sh`.

use std::path::Path;

use cloister_tests::{Front, Setup, World};
use serde_json::Value;

fn manifest(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kustomize").join(name);
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_probes_of_the_pod_are_answered() {
    let world = World::ready(Setup::default()).await;
    let deployment = manifest("base/deployment.yaml");
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let path = container[probe]["httpGet"]["path"].as_str().unwrap();
        assert_eq!(Front::plain(&world.pod).await.get(path).await.status, 200, "{probe} asks for {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metric_that_pods_are_scaled_by_is_found_where_the_monitor_looks() {
    let world = World::ready(Setup::default()).await;
    let scaler = manifest("components/monitoring/autoscaler.yaml");
    let metric = scaler["spec"]["metrics"][0]["pods"]["metric"]["name"].as_str().unwrap().to_owned();
    let monitor = manifest("components/monitoring/pod-monitor.yaml");
    let mut found = Vec::new();
    for endpoint in monitor["spec"]["podMetricsEndpoints"].as_array().unwrap() {
        let (port, path) = (endpoint["port"].as_str().unwrap(), endpoint["path"].as_str().unwrap());
        let answer = match port {
            "http" => Front::plain(&world.pod).await.get(path).await,
            // Prometheus takes any certificate there, as this front end does.
            "relay" => Front::connect(&world.server).await.get(path).await,
            other => panic!("the monitor reads a port {other}"),
        };
        let text = String::from_utf8(answer.body).unwrap();
        assert_eq!(answer.status, 200, "{port}: {text}");
        if text.lines().any(|line| line.starts_with(&format!("{metric} "))) {
            found.push(port);
        }
    }
    assert_eq!(found, ["relay"], "{metric} is told by the enclave alone");
}
