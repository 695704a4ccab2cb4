// Nothing has been received yet: how to begin, with commands to copy.
import { Command } from '../../components/States';

export function Onboarding() {
  const origin = window.location.origin;
  return (
    <div className="page">
      <div className="hero">
        <h1>See where the CPU time goes</h1>
        <p>
          No profiles have arrived in this time range. Start the agent on a host, or send what you already
          have.
        </p>
        <span className="waiting soft" role="status">
          <i aria-hidden /> Waiting for the first profile…
        </span>
      </div>
      <div className="onboard">
        <section className="card first">
          <h2>This host, every process</h2>
          <p>The agent needs no change to the processes. As root it sees all of them, otherwise your own.</p>
          <Command text={`sudo vesta-agent --endpoint ${origin}`} />
        </section>
        <section className="card">
          <h2>One command</h2>
          <p>
            Profiles a program from its start to its end; <code>vesta record --help</code> lists where the
            result can go.
          </p>
          <Command text="vesta record -- ./your-program" />
        </section>
        <section className="card">
          <h2>A pprof file</h2>
          <p>Raw, gzip or zstd; labels go into the query.</p>
          <Command text={`curl --data-binary @cpu.pprof '${origin}/api/v1/profiles?service_name=my-app'`} />
        </section>
        <section className="card">
          <h2>OpenTelemetry</h2>
          <p>
            Point the OTLP exporter of a collector or profiler at this server: over HTTP here, over gRPC on
            port 4317 unless it was moved.
          </p>
          <Command text={`OTEL_EXPORTER_OTLP_ENDPOINT=${origin}`} />
        </section>
        <section className="card">
          <h2>Pyroscope SDKs and Alloy</h2>
          <p>They speak to this server as they are.</p>
          <Command text={`PYROSCOPE_SERVER_ADDRESS=${origin}`} />
        </section>
      </div>
    </div>
  );
}
