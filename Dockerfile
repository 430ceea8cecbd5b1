# logpump's image, and with --target standin the stand-in's.
#
#   docker build -t logpump .
#   docker build -t cloudwatch-standin --target standin .
#
# Other base images: --build-arg BUILD_IMAGE=... (Rust 1.95 or newer and a C compiler) --build-arg RUN_IMAGE=... (a glibc at
# least as new as the build image's).
ARG BUILD_IMAGE=rust:1.95-bookworm
ARG RUN_IMAGE=debian:bookworm-slim

FROM ${BUILD_IMAGE} AS source
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
# Cargo wants every target that the manifest names, built or not.
COPY benches benches
COPY tests tests

FROM source AS build
# Without default features: no stand-in, no load generator.
RUN cargo build --locked --profile dist --no-default-features --bin logpump

FROM source AS build-standin
RUN cargo build --locked --profile dist --bin cloudwatch-standin --bin logpump-load

FROM ${RUN_IMAGE} AS standin
COPY --from=build-standin /src/target/dist/cloudwatch-standin /src/target/dist/logpump-load /usr/local/bin/
USER 65534:65534
EXPOSE 4580
ENTRYPOINT ["/usr/local/bin/cloudwatch-standin"]
CMD ["--listen", "0.0.0.0:4580"]

# The last stage is the one that is built when none is named.
FROM ${RUN_IMAGE} AS logpump
# TLS needs the certificates of public authorities; the slim image has none.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/target/dist/logpump /usr/local/bin/logpump
USER 65534:65534
ENTRYPOINT ["/usr/local/bin/logpump", "run", "--"]
