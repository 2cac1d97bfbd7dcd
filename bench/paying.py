"""Shoppers who pay through the sandbox gateway: they begin at the shop and press "pay" on the gateway's page."""
import http.client
import json
import queue
import threading
import time
from urllib.parse import urlsplit

PAYERS = 16
PATIENCE_S = 120


class Payers:
    """Threads that pay what is put before them, however often the shop has to be asked."""

    def __init__(self, port):
        self.port = port
        self.waiting = queue.SimpleQueue()
        self.paid, self.refused = [], []  # orders
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(PAYERS)]
        for thread in self.threads:
            thread.start()

    def pay(self, order, token):
        self.waiting.put((order, token))

    def stop(self):
        for _ in self.threads:
            self.waiting.put(None)
        for thread in self.threads:
            thread.join()

    def work(self):
        for order, token in iter(self.waiting.get, None):
            try:
                done = self.pay_one(order, token, time.monotonic() + PATIENCE_S)
            except TimeoutError:
                done = False
            (self.paid if done else self.refused).append(order)

    def pay_one(self, order, token, until):
        headers = {'Authorization': f'Bearer {token}', 'Idempotency-Key': f'pay-{order}'}
        status, body = self.firmly(self.port, f'/v1/orders/{order}/payment', headers, None, until)
        if status != 200:
            return False  # it was too late
        page = json.loads(body)['redirect_url']
        if page:
            form = {'Content-Type': 'application/x-www-form-urlencoded'}
            self.firmly(urlsplit(page).port, urlsplit(page).path, form, 'action=pay', until)
        return True

    @staticmethod
    def firmly(port, path, headers, body, until):
        """Repeated, as it may be, until there is an answer that will stay."""
        while time.monotonic() < until:
            connection = http.client.HTTPConnection('127.0.0.1', port, timeout=20)
            try:
                connection.request('POST', path, body=body, headers=headers)
                answer = connection.getresponse()
                text = answer.read()
                if answer.status < 500 and b'"idempotency_in_flight"' not in text:
                    return answer.status, text
            except (OSError, http.client.HTTPException):
                pass
            finally:
                connection.close()
            time.sleep(0.1)
        raise TimeoutError(path)
