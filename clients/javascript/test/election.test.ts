import { expect, test } from "vitest";
import { Election } from "../src/election.ts";
import type { LocksLike } from "../src/environment.ts";
import { FakeBrowser } from "./fake/environment.ts";
import { FakeTime } from "./fake/time.ts";

function tabs() {
  const time = new FakeTime();
  const browser = new FakeBrowser(time);
  const tab = (locks: LocksLike = browser.tab().locks) => {
    const events: string[] = [];
    const election = new Election(locks, "lock", { onElected: () => events.push("elected"), onDeposed: () => events.push("deposed") });
    return { election, events };
  };
  return { time, tab };
}

test("who stood twice and withdrew is not elected", async () => {
  const { time, tab } = tabs();
  const [first, second, third] = [tab(), tab(), tab()];
  first.election.stand();
  await time.advance(10);
  second.election.stand();
  second.election.stand();
  second.election.withdraw();
  third.election.stand();
  first.election.withdraw();
  await time.advance(10);
  expect([second.events, third.events]).toEqual([[], ["elected"]]);
});

test("who stands while it takes the lock is told when that is taken away", async () => {
  const { time, tab } = tabs();
  const [first, second] = [tab(), tab()];
  first.election.seize();
  first.election.stand();
  await time.advance(10);
  second.election.seize();
  await time.advance(10);
  expect([first.events, second.events]).toEqual([["elected", "deposed"], ["elected"]]);
});

test("who withdraws while the lock is on its way passes it on", async () => {
  const { time, tab } = tabs();
  const [first, second] = [tab(), tab()];
  first.election.stand();
  first.election.withdraw();
  second.election.stand();
  await time.advance(10);
  expect([first.events, second.events]).toEqual([[], ["elected"]]);
});

test("where locks are refused the tab leads, and does not ask again and again", async () => {
  let requests = 0;
  const { time, tab } = tabs();
  const refusing = tab({ request: () => (++requests, Promise.reject(new DOMException("sandboxed", "SecurityError"))) });
  refusing.election.stand();
  await time.advance(10);
  expect([requests, refusing.events]).toEqual([1, ["elected"]]);
});
