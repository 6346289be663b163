// @vitest-environment happy-dom
import { act, createElement, StrictMode, type ReactNode } from "react";
import { createRoot, type Root } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { PresenceProvider, useConnectionState, useOwnStatus, usePresence, usePresences } from "../src/react.ts";
import { live, type Setup } from "./harness.ts";

declare global {
  var IS_REACT_ACT_ENVIRONMENT: boolean;
}

let root: Root;
let container: HTMLElement;
let renders: Map<string, number>;

beforeEach(() => {
  globalThis.IS_REACT_ACT_ENVIRONMENT = true;
  container = document.createElement("div");
  root = createRoot(container);
  renders = new Map();
});

afterEach(async () => {
  await act(() => {
    root.unmount();
    return Promise.resolve();
  });
});

const count = (name: string) => renders.set(name, (renders.get(name) ?? 0) + 1);

function Person({ id }: { id: string | undefined }): ReactNode {
  count(id ?? "nobody");
  return <i>{`${id ?? "nobody"}:${usePresence(id)?.status ?? "?"} `}</i>;
}

function People({ ids }: { ids: string[] }): ReactNode {
  count("people");
  return <b>{usePresences(ids).map((record, index) => `${ids[index] ?? ""}:${record?.status ?? "?"}`).join(",")}</b>;
}

async function render(setup: Setup, children: ReactNode, isStrict = false): Promise<void> {
  const tree = createElement(PresenceProvider, { client: setup.client }, children);
  await act(() => {
    root.render(isStrict ? <StrictMode>{tree}</StrictMode> : tree);
    return Promise.resolve();
  });
  await advance(setup);
}

const advance = ({ time }: Setup, millis = 50) => act(() => time.advance(millis));

describe("hooks", () => {
  test("only the component whose user changed renders", async () => {
    const setup = await live();
    await render(setup, <><Person id="a" /><Person id="b" /><Person id="c" /></>);
    expect(container.textContent).toBe("a:OFFLINE b:OFFLINE c:OFFLINE ");
    const before = new Map(renders);
    setup.server.set("b", { status: "ONLINE" });
    await advance(setup);
    expect(container.textContent).toBe("a:OFFLINE b:ONLINE c:OFFLINE ");
    expect([renders.get("a"), renders.get("b"), renders.get("c")]).toEqual([before.get("a"), (before.get("b") ?? 0) + 1, before.get("c")]);
  });

  test("a reconnect that changes nothing renders nothing", async () => {
    const setup = await live();
    await render(setup, <><Person id="a" /><People ids={["a", "b"]} /></>);
    const before = new Map(renders);
    setup.server.restart(false);
    await advance(setup, 5000);
    expect(setup.server.connections.size).toBe(1);
    expect(renders).toEqual(before);
  });

  test("usePresences renders once for all that changed in a frame, and not for a new array of the same ids", async () => {
    const setup = await live();
    await render(setup, <People ids={["a", "b"]} />);
    const before = renders.get("people") ?? 0;
    setup.server.set("a", { status: "ONLINE" });
    setup.server.set("b", { status: "IDLE" });
    await advance(setup);
    expect(container.textContent).toBe("a:ONLINE,b:IDLE");
    expect(renders.get("people")).toBe(before + 1);
    await render(setup, <People ids={["a", "b"]} />);
    expect(setup.server.messages("watch").length).toBe(1);
    expect(setup.server.messages("unwatch").length).toBe(0);
  });

  test("ten components that watch one user are one subscription, which the last one ends", async () => {
    const setup = await live();
    await render(setup, <>{Array.from({ length: 10 }, (_, key) => <Person key={key} id="a" />)}</>);
    expect(setup.server.messages("watch").map(({ userIds }) => userIds)).toEqual([["a"]]);
    await render(setup, <Person id="a" />);
    expect(setup.server.messages("unwatch")).toEqual([]);
    await render(setup, <Person id={undefined} />);
    expect(setup.server.messages("unwatch").map(({ userIds }) => userIds)).toEqual([["a"]]);
    expect(container.textContent).toBe("nobody:? ");
  });

  test("strict mode causes no second subscription and loses none", async () => {
    const setup = await live();
    await render(setup, <Person id="a" />, true);
    expect(setup.server.messages("watch").length).toBe(1);
    expect(setup.server.messages("unwatch").length).toBe(0);
    setup.server.set("a", { status: "ONLINE" });
    await advance(setup);
    expect(container.textContent).toBe("a:ONLINE ");
  });

  test("another user of the same component is one message of each kind", async () => {
    const setup = await live();
    await render(setup, <Person id="a" />);
    await render(setup, <Person id="b" />);
    expect(container.textContent).toBe("b:OFFLINE ");
    expect(setup.server.messages("watch").map(({ userIds }) => userIds)).toEqual([["a"], ["b"]]);
    expect([...setup.server.connections][0]?.watched).toEqual(new Set(["b"]));
  });

  test("an id that no server accepts watches nobody and breaks nothing", async () => {
    const setup = await live();
    await render(setup, <><Person id=" " /><People ids={["", "b"]} /></>);
    expect(container.textContent).toBe(" :? :?,b:OFFLINE");
  });

  test("the own status is optimistic", async () => {
    const setup = await live();
    let own: ReturnType<typeof useOwnStatus> | undefined;
    const Own = () => {
      own = useOwnStatus();
      return `${own.customStatus ?? "?"} ${own.isPending ? "pending" : ""}`;
    };
    await render(setup, <Own />);
    await act(() => {
      void own?.updateCustomStatus("IDLE");
      return Promise.resolve();
    });
    expect(container.textContent).toBe("IDLE pending");
    await advance(setup);
    expect(container.textContent).toBe("IDLE ");
  });

  test("the state of the connection is told", async () => {
    const setup = await live();
    const State = () => useConnectionState().status;
    await render(setup, <State />);
    expect(container.textContent).toBe("live");
    setup.server.restart(true, 5000);
    await advance(setup);
    expect(container.textContent).toBe("waiting");
  });

  test("rendering on a server needs no client and watches nobody", async () => {
    const { server, client, time } = await live();
    const Own = () => useOwnStatus().customStatus ?? "unknown";
    const tree = <><Person id="a" /><People ids={["a"]} /><Own /></>;
    for (const given of [client, undefined]) {
      const html = renderToString(<PresenceProvider client={given}>{tree}</PresenceProvider>);
      expect(html).toBe("<i>a:? </i><b></b>unknown");
    }
    await time.advance(50);
    expect(server.messages("watch")).toEqual([]);
  });

  test("5,000 watched users: a change renders one component", async () => {
    const setup = await live();
    setup.server.usersPerFrame = 500;
    const ids = Array.from({ length: 5000 }, (_, index) => `user-${index}`);
    await render(setup, <>{ids.map((id) => <Person key={id} id={id} />)}</>);
    await advance(setup, 10_000);
    renders.clear();
    setup.server.set("user-4321", { status: "ONLINE" });
    await advance(setup);
    expect([...renders]).toEqual([["user-4321", 1]]);
  });
});
