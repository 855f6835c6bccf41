# One image with all three programs: /replog-master, /replog-secondary and /replog (the default).
# Classic builder syntax only. Where no registry is reached, `cargo xtask images --bases` makes BUILD_IMAGE.
ARG BUILD_IMAGE=rust:1.95-slim-bookworm

# The workspace without its code: what decides which dependencies are built, and nothing else. As long as this
# folder's content stays the same, the builder reuses the layer in which they were compiled.
FROM ${BUILD_IMAGE} AS manifests
WORKDIR /workspace
COPY . .
RUN find . -name '*.rs' \
        ! -path './*/src/lib.rs' ! -path './*/src/main.rs' ! -path './*/src/bin/*' ! -name build.rs \
        ! -path './*/benches/*' ! -path './*/tests/*' ! -path './*/examples/*' -delete \
    && find . -name '*.rs' -exec sh -c 'for file; do echo "fn main() { }" > "$file"; done' sh {} + \
    && find . -type f ! -name '*.rs' ! -name Cargo.toml ! -name Cargo.lock -delete \
    && find . -type d -empty -delete

FROM ${BUILD_IMAGE} AS build
ARG PROFILE=dist
# Position-independent and static: the final image holds no libc.
ENV RUSTFLAGS="-C target-feature=+crt-static"
WORKDIR /workspace
RUN printf '%s\n' \
        '#!/bin/sh -e' \
        'triple=$(rustc -vV | sed -n "s/^host: //p")' \
        'cargo build --locked --profile "$PROFILE" --target "$triple" \' \
        '    -p replog-master -p replog-secondary -p replog-cli' \
        'mkdir -p /image/data' \
        'cp "target/$triple/$PROFILE/replog-master" "target/$triple/$PROFILE/replog-secondary" \' \
        '    "target/$triple/$PROFILE/replog" /image/' \
        > /usr/local/bin/build-programs && chmod +x /usr/local/bin/build-programs
COPY --from=manifests /workspace .
RUN build-programs
COPY . .
# Sources are copied with the age they have in the checkout: older than what was just compiled.
RUN find . -path ./target -prune -o -name '*.rs' -exec touch {} + && build-programs

FROM scratch
# For TLS to NATS servers whose certificate a public authority signed.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /image/replog-master /image/replog-secondary /image/replog /
COPY --from=build --chown=10001:10001 /image/data /data
USER 10001:10001
VOLUME /data
STOPSIGNAL SIGTERM
ENTRYPOINT ["/replog"]
