from lib.proofs.table import main

if __name__ == "__main__":
    main()
