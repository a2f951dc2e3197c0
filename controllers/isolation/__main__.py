"""Process of a controller: ``python -m gridferry.controllers.isolation CONNECTION PARENT``."""

from gridferry.controllers.isolation.worker import main

main()
