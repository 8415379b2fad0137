# shellcheck shell=sh
# What a server of k3s gives to its administrator, for who asks over SSH as root.

# shellcheck disable=SC2154  # kubeconfig, data and state are the caller's

# show_access: whose cluster it is, the administrator's file, and below it the certificate that the API shows.
show_access() {
    test -r "$kubeconfig" || { echo "no server of k3s: there is no $kubeconfig" >&2 && return 1; }
    said=$(KUBECACHEDIR=/dev/null timeout 20 k3s kubectl get --raw=/readyz --request-timeout=15s 2>&1) ||
        { printf 'its API is not ready: %s\n' "${said##*"$newline"}" >&2 && return 1; }
    sed -n 's/^fleet=/fleet /p' "$state" 2>/dev/null
    section access
    cat "$kubeconfig"
    section certificate
    show_certificate
}

# show_certificate: as it is served; or, without openssl, as k3s keeps it beside its key, which stays here (k3s,
# pkg/cluster/https.go); or that of the API server behind it, which is for the same names.
show_certificate() {
    tls=$data/server/tls
    if command -v openssl >/dev/null; then
        openssl s_client -connect "127.0.0.1:$port" </dev/null 2>/dev/null | openssl x509
    elif test -r "$tls/dynamic-cert.json"; then
        sed -n 's/.*"tls.crt": *"\([A-Za-z0-9+\/=]*\)".*/\1/p' "$tls/dynamic-cert.json" | base64 -d
    else
        cat "$tls/serving-kube-apiserver.crt"
    fi 2>/dev/null
}
