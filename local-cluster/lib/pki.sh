# shellcheck shell=bash
# Certificates and kubeconfig files of one cluster, below $DIR/pki and $DIR/etc. Made once; kept until `down`.

# certificate NAME SUBJECT [SUBJECT-ALT-NAMES]: signed by this cluster's authority, for clients and servers alike.
# The certificate is moved into place last: where it exists, the key does too.
certificate() {
  local name=$1 subject=$2 names=${3:-} pki=$DIR/pki
  [ ! -e "$pki/$name.crt" ] || return 0
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$subject" \
    -keyout "$pki/$name.key" -out "$pki/$name.csr" 2>/dev/null
  printf 'keyUsage=digitalSignature\nextendedKeyUsage=clientAuth,serverAuth\n%s\n' "${names:+subjectAltName=$names}" >"$pki/$name.ext"
  openssl x509 -req -in "$pki/$name.csr" -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -CAcreateserial -days 3650 \
    -extfile "$pki/$name.ext" -out "$pki/$name.new" 2>/dev/null
  mv "$pki/$name.new" "$pki/$name.crt"
  rm "$pki/$name.csr" "$pki/$name.ext"
}

certificate_authority() {
  local pki=$DIR/pki
  mkdir -p "$pki" "$DIR/etc"
  chmod 700 "$DIR/pki"
  if [ ! -e "$pki/ca.crt" ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=finetune-local-cluster \
      -keyout "$pki/ca.key" -out "$pki/ca.new" 2>/dev/null
    mv "$pki/ca.new" "$pki/ca.crt"
  fi
  if [ ! -e "$pki/sa.pub" ]; then
    openssl ecparam -name prime256v1 -genkey -noout -out "$pki/sa.key"
    openssl ec -in "$pki/sa.key" -pubout -out "$pki/sa.new" 2>/dev/null
    mv "$pki/sa.new" "$pki/sa.pub"
  fi
}

# kubeconfig NAME CERTIFICATE: a kubeconfig that holds all it needs, so it may be copied anywhere on this machine.
kubeconfig() {
  local file=$DIR/etc/$1.kubeconfig pki=$DIR/pki
  (umask 077 && cat >"$file.new") <<KUBECONFIG
apiVersion: v1
kind: Config
clusters:
- name: $CONTEXT
  cluster: {server: "https://$API_ADDRESS:$API_PORT", certificate-authority-data: $(base64 -w0 "$pki/ca.crt")}
users:
- name: $2
  user: {client-certificate-data: $(base64 -w0 "$pki/$2.crt"), client-key-data: $(base64 -w0 "$pki/$2.key")}
contexts:
- name: $CONTEXT
  context: {cluster: $CONTEXT, user: $2}
current-context: $CONTEXT
KUBECONFIG
  mv "$file.new" "$file"
}

# control_plane_certificates: the identities that every cluster of ours has.
control_plane_certificates() {
  certificate_authority
  certificate apiserver /CN=kube-apiserver \
    "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:$SERVICE_IP,IP:$API_ADDRESS,IP:127.0.0.1"
  certificate admin "/O=system:masters/CN=admin"
  certificate apiserver-kubelet-client "/O=system:masters/CN=kube-apiserver-kubelet-client"
  certificate front-proxy-client /CN=front-proxy-client
  certificate controller-manager /CN=system:kube-controller-manager
  certificate scheduler /CN=system:kube-scheduler
  local name
  for name in admin controller-manager scheduler; do kubeconfig $name $name; done
}
