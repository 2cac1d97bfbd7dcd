#!/usr/bin/python3
"""Flash sales with faults in the middle: Redis killed or flushed, the server killed, a third that never pays, bots.

By itself, at full scale: bench/sale_faults.py FAULT... [--buyers 50000] [--units 1000]. Buyers arrive within five seconds and come back until every unit is
sold and paid through the sandbox gateway; a request without an answer is repeated under its key."""
import argparse
import hashlib
import hmac
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

from crowd import begin, gather, new_sale, rush_ready
from paying import Payers
from stand import HOME, Row, Stand, free_port, say, services

FAULTS = ['none', 'redis-kill', 'redis-flush', 'server-kill', 'never-pay', 'bots']
RUSH_S = 5
REDIS_AWAY_S = 1
AGAIN_MS = 2000
NEVER_PAYS = 3  # of ten buyers
PAY_WITHIN_S = {'never-pay': 8, 'bots': 8}  # bots do not pay either
MOST_S = 160
BOTS = 32
REPLAYED = 50  # webhooks
BOTS_AHEAD_S = 0.5  # of people; most of it their tokens are being signed
SECRET = 'whsec_bench'
SHORT = {'buyers': 5000, 'units': 200}


class Course:
    """One sale from its first buyer to its last payment."""

    def __init__(self, stand, fault, buyers, units):
        self.stand, self.fault, self.buyers, self.units = stand, fault, buyers, units
        self.orders_path = os.path.join(HOME, 'orders.txt')
        self.acknowledged = {}  # order: buyer
        self.due = queue.SimpleQueue()  # strikes
        self.notes = {}

    # ── the shop ──

    def open(self):
        stand, sandbox = self.stand, free_port()
        gather(stand, self.buyers + BOTS)
        stand.environment |= {'CATHAY_STRIPE_URL': f'http://127.0.0.1:{sandbox}', 'CATHAY_STRIPE_KEY': 'sk_test_bench', 'CATHAY_STRIPE_WEBHOOK_SECRET': SECRET,
                              'CATHAY_SANDBOX_PORT': str(sandbox), 'CATHAY_SANDBOX_SMTP_PORT': str(free_port()),
                              'CATHAY_SANDBOX_WEBHOOK_URL': f'http://127.0.0.1:{stand.port}', 'CATHAY_SANDBOX_WEBHOOK_RETRY_MS': '200',
                              'CATHAY_RESERVATION_S': str(PAY_WITHIN_S.get(self.fault, 1800)), 'CATHAY_SCHEDULE_TICK_MS': '200'}
        self.server = stand.start('serve')
        self.others = [stand.start(role) for role in ('worker', 'scheduler', 'sandbox')]
        self.sale = new_sale(stand, self.units)
        self.payers = Payers(stand.port)
        if os.path.exists(self.orders_path):
            os.unlink(self.orders_path)

    def close(self):
        self.payers.stop()
        self.wait(lambda: self.number("SELECT count(*) FROM task WHERE state IN ('ready', 'running') AND due_at <= now()") == 0, 60)
        for process in [self.server] + self.others:
            self.stand.stop(process)
        self.stand.settle_and_verify()
        self.stand.drop_database()

    def number(self, sql):
        return int(self.stand.sql(sql))

    @staticmethod
    def wait(condition, seconds):
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until:
                return False
            time.sleep(0.2)
        return True

    # ── what happens meanwhile ──

    def follow(self):
        """Reads the orders as they are acknowledged: has them paid, and calls for a strike when a quarter, the half and all of the units are sold."""
        strikes = [self.units // 4, self.units // 2, self.units]
        with open(self.orders_path) as file:
            rest = ''
            while not self.ended:
                rest += file.read()
                *lines, rest = rest.split('\n')
                for line in lines:
                    buyer, order, token = line.split()
                    self.acknowledged[order] = int(buyer)
                    if self.fault != 'never-pay' or int(buyer) % 10 >= NEVER_PAYS:
                        self.payers.pay(order, token)
                while strikes and len(self.acknowledged) >= strikes[0]:
                    self.due.put((3 - len(strikes), time.monotonic() - self.began))
                    strikes.pop(0)
                if not lines:
                    time.sleep(0.001)

    def strike(self, number):
        """On the main thread: Redis ends with the thread that started it."""
        if self.fault == 'redis-flush':
            self.redis_flush()
        elif self.fault == 'redis-kill' and number == 0:
            self.stand.redis.stop('immediate')
            time.sleep(REDIS_AWAY_S)
            self.stand.redis.start()
        elif self.fault == 'server-kill' and number < 2:
            self.server.kill()
            self.server.wait()
            self.stand.processes.remove(self.server)
            self.server = self.stand.start('serve')

    def redis_flush(self):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.stand.redis.socket)
            connection.sendall(b'FLUSHALL\r\n')
            connection.recv(64)

    def bots_begun(self):
        line = [self.stand.program('bench/bots'), '--sale', self.sale, '--bots', str(BOTS), '--first', str(self.buyers), '--victims', str(self.buyers),
                '--seconds', str(RUSH_S + 1)]
        return subprocess.Popen(line, env=self.stand.environment, stdout=subprocess.PIPE, text=True)

    def replay_webhooks(self):
        """What the gateway has told of a payment, told again, and anew as another event; the same with a wrong signature and with an old one. How the
        shop answered."""
        events = self.stand.sql(f"SELECT event_id FROM webhook WHERE provider = 'stripe' AND state = 'processed' ORDER BY id LIMIT {REPLAYED}").splitlines()
        intents = self.stand.sql(f"SELECT answer FROM payment WHERE state = 'succeeded' ORDER BY id LIMIT {REPLAYED}").splitlines()
        found = {}
        for event, intent in zip(events, intents):
            for name, secret, age_s, expected in (('again', SECRET, 0, 200), ('anew', SECRET, 0, 200), ('forged', 'whsec_other', 0, 401),
                                                  ('old', SECRET, 3600, 401)):
                status = self.tell(event if name == 'again' else f'{event}_{name}', json.loads(intent), secret, age_s)
                if status != expected:
                    self.stand.is_wrong(f'{self.fault}: a webhook told {name} was answered {status}')
                found[name] = found.get(name, 0) + 1
        if found.get('again') != REPLAYED:
            self.stand.is_wrong(f'{self.fault}: {found.get("again", 0)} of {REPLAYED} webhooks were told again')
        return found

    def tell(self, event, intent, secret, age_s):
        moment = int(time.time()) - age_s
        text = json.dumps({'id': event, 'object': 'event', 'type': 'payment_intent.succeeded', 'created': moment, 'data': {'object': intent}})
        mac = hmac.new(secret.encode(), f'{moment}.{text}'.encode(), hashlib.sha256).hexdigest()
        request = urllib.request.Request(f'http://127.0.0.1:{self.stand.port}/v1/webhooks/stripe', text.encode(), method='POST',
                                         headers={'Content-Type': 'application/json', 'Stripe-Signature': f't={moment},v1={mac}'})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as refusal:
            return refusal.code

    # ── the course ──

    def all_paid(self):
        if self.fault in PAY_WITHIN_S:
            self.stand.sql("UPDATE schedule SET due_at = now() WHERE name = 'payment_expire'")
        return self.paid() >= self.units

    def paid(self):
        return self.number(f"""SELECT coalesce(sum(c.quantity), 0) FROM sale_claim c JOIN orders o ON o.id = c.order_id
            WHERE c.state = 'taken' AND wire_id('sal', c.sale_id) = '{self.sale}'
              AND o.state NOT IN ('pending_payment', 'payment_failed', 'expired', 'cancelled')""")

    def run(self):
        self.open()
        crowd = rush_ready(self.stand, sale=self.sale, buyers=self.buyers, rate=self.buyers // RUSH_S, again_ms=AGAIN_MS, orders=self.orders_path)
        bots = self.bots_begun() if self.fault == 'bots' else None
        self.ended, self.began = False, time.monotonic()
        follower = threading.Thread(target=self.follow, daemon=True)
        follower.start()
        if bots:
            time.sleep(BOTS_AHEAD_S)
        begin(crowd)
        if not self.course():
            self.stand.is_wrong(f'{self.fault}: {self.paid()} of {self.units} units are sold and paid after {MOST_S} s')
        self.notes['all paid after s'] = round(time.monotonic() - self.began, 1)
        crowd.terminate()
        self.notes['crowd'] = json.loads(crowd.communicate()[0])
        if bots:
            self.notes['bots'] = json.loads(bots.communicate()[0])
            self.notes['webhooks'] = self.replay_webhooks()
        time.sleep(0.2)
        self.ended = True
        follower.join()
        self.check()
        self.close()
        return self.notes

    def course(self):
        """Strikes when it is time, until everything is paid and the last buyer has come. False: it took too long."""
        while time.monotonic() - self.began < MOST_S:
            try:
                number, at_s = self.due.get(timeout=0.2)
                self.strike(number)
                self.notes['sold out after s'] = round(at_s, 2)
            except queue.Empty:
                if time.monotonic() - self.began > RUSH_S and self.all_paid():
                    return True
        return False

    def check(self):
        of_sale = f"FROM sale_claim c WHERE wire_id('sal', c.sale_id) = '{self.sale}'"
        claimed = set(self.stand.sql(f"SELECT wire_id('ord', c.order_id) {of_sale}").split())
        by_bots = set(self.stand.sql(f"""SELECT wire_id('ord', c.order_id) {of_sale} AND c.customer_id IN
            (SELECT id FROM users WHERE email LIKE 'buyer%@bench.example' ORDER BY id OFFSET {self.buyers})""").split())
        taken, customers = map(int, self.stand.sql(f"SELECT sum(c.quantity) || ' ' || count(DISTINCT c.customer_id) {of_sale} AND c.state = 'taken'").split())
        crowd, bots = self.notes['crowd'], self.notes.get('bots', {})
        self.notes |= {'taken': taken, 'customers': customers, 'orders': len(claimed), 'orders of bots': len(by_bots), 'paid': self.paid()}
        faults = {
            'not every unit is taken, or more than there are': taken != self.units,
            'a customer has more than one': customers != taken,
            'an acknowledged order is not there': not self.acknowledged.keys() <= claimed,
            'somebody has an order and was told that he has none': bool(claimed - self.acknowledged.keys() - by_bots) or crowd['limit'] > 0,
            'answers that should not be': crowd['other'] > 0,
            'a token that is not good got in': bots.get('got_in', 0) > 0,
            'nobody let a unit go': self.fault in PAY_WITHIN_S and len(claimed) == self.units,
        }
        for text in (text for text, there in faults.items() if there):
            self.stand.is_wrong(f'{self.fault}: {text}: {self.notes}')


def measure(stand):
    return {fault: Course(stand, fault, **SHORT).run() for fault in FAULTS[1:]}


def rows(found):
    return [Row(f'{SHORT["buyers"]:,} buyers, {fault}', per_s=one['crowd']['per_s'], p99_ms=one['crowd']['p99_ms'], p50_ms=one['crowd']['p50_ms'],
                found=f'{one["paid"]} of {one["taken"]} paid by {one["customers"]} in {one["all paid after s"]} s, {one["orders"]} orders',
                aim='each unit sold once and paid', met=one['paid'] == one['taken'] == one['customers'] == SHORT['units'])
            for fault, one in found.items()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('faults', nargs='+', choices=FAULTS)
    parser.add_argument('--buyers', type=int, default=50000)
    parser.add_argument('--units', type=int, default=1000)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    stand = Stand(quick=True)
    try:
        stand.build()
        stand.start_services()
        for fault in options.faults:
            say(f'{fault}: {json.dumps(Course(stand, fault, options.buyers, options.units).run())}')
    except services.ServiceError as error:
        say(f'bench/sale_faults.py: {error}')
        return 1
    finally:
        stand.close()
    say('WRONG' if stand.wrong else 'Everything held.')
    return 1 if stand.wrong else 0


if __name__ == '__main__':
    sys.exit(main())
