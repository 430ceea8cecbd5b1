# logpump's image, and with --target standin the stand-in's.
#
#   docker build -t logpump .
#   docker build -t cloudwatch-standin --target standin .
#
# The image holds the stripped binary, the C library that it needs, certificates, and nothing else: no shell, no package
# manager. What it is for: COPY --from into an image that has your command (examples/layer/Dockerfile), or such a base:
#
#   --build-arg RUN_IMAGE=debian:bookworm-slim   a glibc at least as new as BUILD_IMAGE's; nothing of it is replaced
#   --build-arg BUILD_IMAGE=...                  Rust 1.95 or newer, a C compiler, ca-certificates
#
# The age of BUILD_IMAGE's glibc decides where the binary runs: bookworm's linker asks for nothing newer than 2.34, which
# Amazon Linux 2023 has. `.ci/long image` checks that. Tags move: to build the same thing next year, give a digest,
# BUILD_IMAGE=rust:1.95-bookworm@sha256:... as `docker images --digests` shows it.
#
# BuildKit is not needed; without it, say --target logpump, or the stand-in is built as well.
ARG BUILD_IMAGE=rust:1.95-bookworm
ARG RUN_IMAGE=scratch

# ---- the dependencies, in a layer that only Cargo.toml and Cargo.lock make anew --------------------

FROM ${BUILD_IMAGE} AS dependencies
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
# Every program that the manifest names is left out of it, and an empty one stands in for ours.
RUN cp Cargo.toml Cargo.toml.whole \
    && awk '/^\[/ { skipped = /^\[\[/ } !skipped' Cargo.toml.whole >Cargo.toml \
    && mkdir src \
    && echo 'fn main() {}' >src/main.rs \
    && touch src/lib.rs
# Without default features: no stand-in, no load generator.
RUN cargo build --locked --profile dist --no-default-features --bin logpump

# ---- logpump ---------------------------------------------------------------------------------------

FROM dependencies AS build
COPY Cargo.toml ./
# Cargo wants every target that the manifest names, built or not.
COPY benches benches
COPY tests tests
COPY src src
# The times of what was copied may lie before those of the empty program.
RUN touch src/main.rs src/lib.rs \
    && cargo build --locked --profile dist --no-default-features --bin logpump \
    && install -D -t /root-fs/usr/local/bin target/dist/logpump
ARG RUN_IMAGE
COPY perf/image-root /usr/local/bin/image-root
RUN image-root /root-fs "${RUN_IMAGE}"

FROM ${RUN_IMAGE} AS logpump
COPY --from=build /root-fs/ /
USER 65534:65534
ENTRYPOINT ["/usr/local/bin/logpump", "run", "--"]

# ---- the stand-in and the load generator -----------------------------------------------------------

FROM dependencies AS build-standin
RUN cargo build --locked --profile dist
COPY Cargo.toml ./
COPY benches benches
COPY tests tests
COPY src src
RUN touch src/main.rs src/lib.rs \
    && cargo build --locked --profile dist --bin cloudwatch-standin --bin logpump-load \
    && install -D -t /root-fs/usr/local/bin target/dist/cloudwatch-standin target/dist/logpump-load
ARG RUN_IMAGE
COPY perf/image-root /usr/local/bin/image-root
RUN image-root /root-fs "${RUN_IMAGE}"

FROM ${RUN_IMAGE} AS standin
COPY --from=build-standin /root-fs/ /
USER 65534:65534
EXPOSE 4580
ENTRYPOINT ["/usr/local/bin/cloudwatch-standin"]
CMD ["--listen", "0.0.0.0:4580"]

# The last stage is the one that is built when none is named.
FROM logpump
