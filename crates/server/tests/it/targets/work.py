import time

end = time.time() + 300


def leaf(n):
    return sum(i * i % 7 for i in range(n))


while time.time() < end:
    leaf(3000)
